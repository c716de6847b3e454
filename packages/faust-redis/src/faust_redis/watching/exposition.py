"""The figures of a snapshot in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from faust_redis.watching.snapshot import PartitionFigures, TopicSnapshot, WatchSnapshot

__all__ = ["exposition"]

_READING: tuple[tuple[str, str, str, Callable[[PartitionFigures], float]], ...] = (
    ("faust_redis_lag", "gauge", "Messages that the app has not read.", lambda each: each.lag),
    (
        "faust_redis_pending",
        "gauge",
        "Messages read and not acked.",
        lambda each: each.pending,
    ),
    (
        "faust_redis_retrying",
        "gauge",
        "Messages to be tried again.",
        lambda each: each.retrying,
    ),
    (
        "faust_redis_done_total",
        "counter",
        "Messages that the app has finished.",
        lambda each: each.added - each.lag - each.pending,
    ),
    (
        "faust_redis_oldest_age_seconds",
        "gauge",
        "Age of the oldest unfinished message, 0 without one.",
        lambda each: each.oldest_age or 0.0,
    ),
)
_TOPIC: tuple[tuple[str, str, str, Callable[[TopicSnapshot], float]], ...] = (
    ("faust_redis_added_total", "counter", "Messages that were sent to the topic.", lambda each: each.added),
    ("faust_redis_entries", "gauge", "Messages that Redis holds.", lambda each: each.entries),
    ("faust_redis_dead_letters", "gauge", "Messages that were given up.", lambda each: each.dead_letters),
)


def exposition(snapshot: WatchSnapshot) -> str:
    """Return all metrics of a snapshot."""
    lines: list[str] = []
    for name, kind, about, of in _READING:
        lines += _metric(
            name,
            kind,
            about,
            (
                ({"app": app.name, "topic": reading.topic, "partition": str(each.number)}, of(each))
                for app in snapshot.apps
                for reading in app.reads
                for each in reading.partitions
            ),
        )
    for name, kind, about, of_topic in _TOPIC:
        rows = (({"topic": topic.name}, of_topic(topic)) for topic in snapshot.topics)
        lines += _metric(name, kind, about, rows)
    workers = (
        ({"app": app.name}, float(sum(worker.alive for worker in app.workers)))
        for app in snapshot.apps
        if app.is_faust
    )
    lines += _metric("faust_redis_workers", "gauge", "Live workers of the app.", workers)
    return "".join(f"{line}\n" for line in lines)


def _metric(name: str, kind: str, about: str, rows: Iterable[tuple[Mapping[str, str], float]]) -> list[str]:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in rows:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(
            f"{name}{{{written}}} {value:g}" if abs(value) < 1e5 else f"{name}{{{written}}} {value!r}"
        )
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
