"""The reasons for the states of stages, as sentences for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust_redis.watching import StageState

if TYPE_CHECKING:
    from pipeline.telemetry.stages.snapshot import StageSnapshot


def reason_of(stage: StageSnapshot, still: float) -> str:
    """Return the reason for a stage's state as a sentence for operators."""
    left = stage.lag + stage.pending
    waiting = (
        "no message waits" if not left else f"{left:,} {'message waits' if left == 1 else 'messages wait'}"
    )
    match stage.state:
        case StageState.STOPPED:
            return f"no worker; {waiting}"
        case StageState.STALLED:
            stuck = [each.number for each in stage.partitions if each.state is StageState.STALLED]
            where = (
                f" in partition {', '.join(map(str, stuck))}"
                if 0 < len(stuck) < len(stage.partitions)
                else ""
            )
            return f"nothing has moved for {still:.0f} s{where}; {waiting}"
        case StageState.SLOW:
            age = f", the oldest for {stage.oldest_age:.0f} s" if stage.oldest_age is not None else ""
            return f"{waiting}{age}; the backlog is not shrinking"
        case StageState.PAUSED:
            return f"paused by an operator; {waiting}"
        case StageState.WORKING:
            return "messages are flowing" if not left else f"{left:,} on the way"
        case StageState.IDLE:
            return "nothing to do"
