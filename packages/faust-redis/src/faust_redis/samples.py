"""The state of topics, groups and entries at one moment, as typed values."""

from __future__ import annotations

from dataclasses import dataclass

from faust_redis.log.entries import Record

__all__ = ["GroupSample", "Member", "PartitionSample", "StreamEntry"]


@dataclass(frozen=True, slots=True)
class Member:
    """One worker of a consumer group.

    Attributes:
        id: Also the name of its consumer in Redis.
        beat: The time of its last heartbeat by the server's clock, in seconds since the epoch.
    """

    id: str
    beat: float


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """One partition at one moment, as one consumer group sees it.

    Attributes:
        length: Entries in the stream.
        added: Offset of the last entry ever added; offsets are dense, so it is also their number.
        read: Offset of the last entry that the group has read.
        pending: Entries read and not acked.
        oldest: Offset of the oldest entry not acked; 0 when all are.
        oldest_sent: The time when that entry was sent, in seconds since the epoch; None when all are acked.
        owner: The member that holds the lease, alive or not; None before the first.
        failing: Entries that have failed and wait for their next attempt.
        dead: Dead letters of the partition.
        paused: Whether an operator has paused it for the group.
    """

    length: int = 0
    added: int = 0
    read: int = 0
    pending: int = 0
    oldest: int = 0
    oldest_sent: float | None = None
    owner: str | None = None
    failing: int = 0
    dead: int = 0
    paused: bool = False

    @property
    def lag(self) -> int:
        """Entries that the group has not read yet."""
        return self.added - self.read

    @property
    def done(self) -> int:
        """Entries that were added and need no more work."""
        return self.read - self.pending


@dataclass(frozen=True, slots=True)
class GroupSample:
    """One topic and one of its consumer groups at one moment.

    Attributes:
        generation: The generation of the group, which grows when a worker joins or leaves; 0 at first.
        settled: Whether the group has assigned its partitions, or has no members.
    """

    partitions: tuple[PartitionSample, ...] = ()
    members: tuple[Member, ...] = ()
    generation: int = 0
    settled: bool = True

    @property
    def lag(self) -> int:
        """Entries of all partitions that the group has not read yet."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def pending(self) -> int:
        """Entries of all partitions that were read and are not acked."""
        return sum(partition.pending for partition in self.partitions)


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry of a partition.

    Attributes:
        record: Its content; None when it was deleted while it was pending.
        attempts: Attempts that have failed.
        consumer: The member that has read it; None while no member has.
        idle: Seconds since it was read; None while no member has read it.
        deliveries: Number of reads.
    """

    offset: int
    record: Record | None
    attempts: int = 0
    consumer: str | None = None
    idle: float | None = None
    deliveries: int = 0
