"""The reasons for the states of readings and apps, as sentences for operators."""

from __future__ import annotations

from collections.abc import Sequence

from faust_redis.watching.snapshot import ReadingSnapshot
from faust_redis.watching.state import StageState

__all__ = ["reason_of_app", "reason_of_reading"]


def reason_of_reading(
    state: StageState, left: int, oldest_age: float | None, still: float, stuck: Sequence[int]
) -> str:
    """Return why an app's reading of a topic is in its state.

    Args:
        left: Messages that are not finished.
        still: Seconds for which nothing has moved.
        stuck: The partitions that are stalled, empty for all of them.
    """
    waiting = "no message waits" if not left else f"{counted(left, 'message')} wait{'s' if left == 1 else ''}"
    match state:
        case StageState.STOPPED:
            return f"no worker; {waiting}"
        case StageState.STALLED:
            where = f" in partition {', '.join(map(str, stuck))}" if stuck else ""
            return f"nothing has moved for {still:.0f} s{where}; {waiting}"
        case StageState.SLOW:
            age = f", the oldest for {span(oldest_age)}" if oldest_age is not None else ""
            return f"{waiting}{age}; the backlog is not shrinking"
        case StageState.PAUSED:
            return f"paused by an operator; {waiting}"
        case StageState.WORKING:
            return "messages are flowing" if not left else f"{left:,} on the way"
        case StageState.IDLE:
            return "nothing to do"


def reason_of_app(
    worst: ReadingSnapshot | None, *, alive: int, is_faust: bool, gone_for: float, retired: bool
) -> str:
    """Return why an app is in its state.

    Args:
        worst: The reading that decides the state, None for an app that reads no topic.
        alive: Its live workers.
        gone_for: Seconds since it had a worker.
    """
    if not is_faust:
        return "sends only" if worst is None else f"no Faust app, so its workers are unknown; {worst.why}"
    if retired:
        left = 0 if worst is None else worst.lag + worst.pending
        kept = f"; its group keeps {counted(left, 'message')} of {worst.topic}" if worst and left else ""
        return f"no worker for {span(gone_for)}{kept}"
    if worst is None:
        return counted(alive, "worker") if alive else "no worker"
    return f"{worst.topic}: {worst.why}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 worker``, ``2 workers``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """Return a span of time in its two largest units: ``12 s``, ``3 h 5 min``, ``2 d 4 h``."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    left = round(max(0.0, seconds))
    parts: list[str] = []
    for name, size in units:
        number, left = divmod(left, size)
        if number or (not parts and name == "s"):
            parts.append(f"{number} {name}")
        elif parts:
            break
    return " ".join(parts[:2])
