"""The partitions of one worker, and how they change hands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from faust.types import TP, Message

from faust_redis.consuming.claims import FIRST_PAGE
from faust_redis.consuming.queue_partition import QueuePartition
from faust_redis.consuming.read_plans import ReadPlan
from faust_redis.context import TransportContext

__all__ = ["OwnedPartitions"]


class OwnedPartitions:
    """The partitions that a member owns, and their leases.

    Attributes:
        queues: The partitions that are read through the consumer group.
        logs: The others, with the offset that is read next.
        ends: The last offset that was read of each partition, plus one.
    """

    def __init__(self, context: TransportContext, group: str, member_id: str) -> None:
        self.context = context
        self.group = group
        self.member_id = member_id
        self.generation = 0
        self.queues: dict[TP, QueuePartition] = {}
        self.logs: dict[TP, int] = {}
        self.ends: dict[TP, int] = {}
        self._plan: ReadPlan | None = None
        self._claimed: dict[TP, int] = {}

    @property
    def lease(self) -> str:
        """The value of a lease that this member takes in the current generation."""
        return f"{self.generation}:{self.member_id}"

    def lease_of(self, tp: TP) -> str:
        """Return the value of a partition's lease, which keeps its generation while the partition stays."""
        partition = self.queues.get(tp)
        return self.lease if partition is None else f"{partition.generation}:{self.member_id}"

    def assign(self, queues: Iterable[TP], logs: Iterable[TP], generation: int) -> None:
        """Take over partitions under a generation; in-flight entries of those kept are not read again."""
        self.generation = generation
        self._plan = None
        nothing = QueuePartition()
        before = {tp: self.queues.get(tp, nothing) for tp in queues}
        self.queues = {
            tp: QueuePartition(
                known=old.known,
                in_flight=dict(old.in_flight),
                again=dict(old.again),
                end=old.end,
                generation=generation,
            )
            for tp, old in before.items()
        }
        self.logs = {tp: self.logs.get(tp, 0) for tp in logs}

    def shift(self, queues: set[TP], logs: set[TP], generation: int) -> tuple[set[TP], set[TP]]:
        """Move to another assignment while the partitions that stay are read on.

        Returns:
            The queues that leave, whose begun events may still be acked until :meth:`remove`, and those that
            are new here.
        """
        self.generation = generation
        self._plan = None
        leaving = self.queues.keys() - queues
        for tp in leaving:
            self.queues[tp].leaving = True
        new = {tp for tp in queues if tp not in self.queues or self.queues[tp].lost}
        for tp in new:
            self.queues[tp] = QueuePartition(generation=generation)
        for tp in queues - new:
            if self.queues[tp].leaving:  # it stays after all; what is pending was left for another owner
                self.queues[tp].leaving = False
                self.rewind(tp)
        self.logs = {tp: self.logs.get(tp, 0) for tp in logs}
        return leaving, new

    def hold(self, tps: Iterable[TP]) -> None:
        """Leave partitions alone until :meth:`take`, because another member may own them."""
        for tp in tps:
            self.queues[tp].held = True

    def remove(self, tps: Iterable[TP]) -> None:
        """Forget partitions that were released."""
        for tp in tps:
            self.queues.pop(tp, None)

    def lease_keys(self, tp: TP) -> list[str]:
        """Return the stream, lease and attempts keys of a partition, in the scripts' order."""
        return [
            self.context.keys.stream(tp),
            self.context.keys.lease(tp, self.group),
            self.context.keys.attempts(tp, self.group),
        ]

    def is_in_flight(self, message: Message) -> bool:
        """Return whether a message is the latest delivery of its entry, by the current owner."""
        partition = self.queues.get(message.tp)
        return partition is not None and partition.in_flight.get(message.offset) is message

    def forfeit(self) -> None:
        """Clear the messages in flight, which can't be acked any more and will be delivered again."""
        for tp, partition in self.queues.items():
            partition.forfeit()
            self.rewind(tp)

    def positions(self, acked: Mapping[TP, int]) -> dict[TP, int]:
        """Return the offset of each partition before which every entry is done, as far as it is known.

        Args:
            acked: For each partition the largest offset that was acked just now, plus one.
        """
        found = {tp: self.queues[tp].position(end) for tp, end in acked.items() if tp in self.queues}
        return {
            tp: min(position, self._claimed.get(tp, position))
            for tp, position in found.items()
            if position is not None
        }

    def rewind(self, tp: TP) -> None:
        """Claim the pending entries of a partition again, except those in flight."""
        if tp in self.queues:
            self.queues[tp].claim_cursor = FIRST_PAGE
            self.queues[tp].rewound = True
            self._plan = None
