"""What there is to read: which partitions are claimed first, and which go by which blocking read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from faust.types import TP

from faust_redis.log.keys import stream_key

__all__ = ["Plan", "Share", "Streams", "shares"]

#: Partitions by the keys of their streams.
Streams = dict[bytes, TP]


class Share(NamedTuple):
    """Partitions that one command reads, and the name of the lane it goes by."""

    lane: str
    tps: frozenset[TP]
    streams: Streams


class Plan(NamedTuple):
    """What is to be done to read some partitions; ``claiming`` comes first."""

    active: set[TP]
    claiming: list[TP]
    queues: list[Share]
    logs: list[Share]


def shares(tps: Iterable[TP], lane_of: Callable[[TP], str]) -> list[Share]:
    """Share out partitions by the lane that brings each, in their order within it."""
    lanes: dict[str, list[TP]] = {}
    for tp in sorted(tps):
        lanes.setdefault(lane_of(tp), []).append(tp)
    return [
        Share(lane, frozenset(share), {stream_key(*tp).encode(): tp for tp in share})
        for lane, share in lanes.items()
    ]
