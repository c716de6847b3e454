"""The figures of all apps and topics at one moment, as typed values."""

from __future__ import annotations

from dataclasses import dataclass

from faust_redis.watching.state import StageState
from faust_redis.watching.topology import TopicKind

__all__ = [
    "AppSnapshot",
    "PartitionFigures",
    "ReadingSnapshot",
    "TopicSnapshot",
    "WatchSnapshot",
    "WorkerFigures",
]


@dataclass(frozen=True, slots=True)
class PartitionFigures:
    """One partition as one app sees it; rates per second, ages in seconds, None while unknown.

    Attributes:
        added: Messages ever sent to it.
        entries: Messages that Redis holds now.
        owner: The worker that holds its lease, alive or not.
    """

    number: int
    state: StageState
    rate_in: float | None
    rate_out: float | None
    lag: int
    pending: int
    oldest_age: float | None
    retrying: int
    dead_letters: int
    added: int
    entries: int
    owner: str | None


@dataclass(frozen=True, slots=True)
class ReadingSnapshot:
    """What one app reads of one topic, with sums over the partitions.

    Attributes:
        why: The reason for the state, in words.
        abandoned: Whether the app has members of which none subscribes to the topic any longer.
    """

    topic: str
    state: StageState
    why: str
    rate_in: float | None
    rate_out: float | None
    lag: int
    pending: int
    oldest_age: float | None
    retrying: int
    abandoned: bool
    partitions: list[PartitionFigures]


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker of an app.

    Attributes:
        alive: Whether its last heartbeat is recent.
        silent: Whether its heartbeat is late.
        partitions: The numbers of the partitions it owns, by topic.
    """

    id: str
    alive: bool
    silent: bool
    heartbeat_age: float
    partitions: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class AppSnapshot:
    """One app: a consumer group, or a program that only sends.

    Attributes:
        state: That of its reading in the worst state; None for a program that only sends.
        is_faust: Whether it is a Faust app; another consumer group has no heartbeats.
        dead_letters: Those of the topics that it alone reads.
        changed_at: When a worker last joined or left, in seconds since the epoch.
        retired: Whether it has had no worker for so long that it seems to be gone for good.
        writes: The topics that it has sent to within a day, changelogs of its own left out.
        tables: Its tables, by the topics that hold their changelogs.
    """

    name: str
    state: StageState | None
    why: str
    is_faust: bool
    rate_in: float | None
    rate_out: float | None
    lag: int
    pending: int
    oldest_age: float | None
    retrying: int
    dead_letters: int
    settled: bool
    generation: int
    changed_at: float | None
    retired: bool
    reads: list[ReadingSnapshot]
    writes: list[str]
    tables: dict[str, str]
    workers: list[WorkerFigures]


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """One topic, with sums over its partitions.

    Attributes:
        partitions: Their number.
        retention: Seconds that entries are kept; 0 for no limit.
        table: The table whose changelog it is.
        added: Messages ever sent to it.
        entries: Messages that Redis holds now.
    """

    name: str
    kind: TopicKind
    table: str | None
    partitions: int
    retention: float
    compacting: bool
    rate_in: float | None
    added: int
    entries: int
    dead_letters: int
    readers: list[str]
    writers: list[str]


@dataclass(frozen=True, slots=True)
class WatchSnapshot:
    """All apps and topics of a namespace at one moment.

    Attributes:
        at: The server's time in seconds since the epoch.
    """

    at: float
    namespace: str
    apps: list[AppSnapshot]
    topics: list[TopicSnapshot]
