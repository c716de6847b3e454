"""Plan reads: the partitions to claim first, and those that one blocking read covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from faust.types import TP

__all__ = ["ReadGroup", "ReadPlan", "Streams", "read_groups"]

#: Partitions by the keys of their streams.
Streams = dict[bytes, TP]


class ReadGroup(NamedTuple):
    """Partitions that one command reads, and the name of their blocking read."""

    read: str
    tps: frozenset[TP]
    streams: Streams


class ReadPlan(NamedTuple):
    """The reads of some partitions; those in ``claiming`` are claimed first."""

    active: set[TP]
    claiming: list[TP]
    queues: list[ReadGroup]
    logs: list[ReadGroup]


def read_groups(
    tps: Iterable[TP], stream_of: Callable[[TP], str], read_of: Callable[[str], str]
) -> list[ReadGroup]:
    """Group partitions by the blocking read that covers them, sorted within it.

    Args:
        stream_of: Returns the key of a partition's stream.
        read_of: Returns the name of the blocking read that covers a key.
    """
    reads: dict[str, Streams] = {}
    for tp in sorted(tps):
        stream = stream_of(tp)
        reads.setdefault(read_of(stream), {})[stream.encode()] = tp
    return [ReadGroup(read, frozenset(streams.values()), streams) for read, streams in reads.items()]
