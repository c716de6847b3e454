"""The state of a partition that is read through the consumer group."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from faust.types import Message

from faust_redis.consuming.claims import FIRST_PAGE

__all__ = ["ANY_LEASE", "QueuePartition"]

#: Any lease of an earlier generation may be replaced, because its owner has released or is gone.
ANY_LEASE: Final = "*"


@dataclass
class QueuePartition:
    """The state of a partition at its owner.

    Attributes:
        claim_cursor: the start of the next page of pending entries; None once all are claimed.
        rewound: whether claiming starts again, which a page under way must not overwrite.
        died: whether the previous owner died, as the first page of pending entries has found.
        is_explained: whether it is known which entry killed that owner.
        refused_until: the time until which the partition is skipped, because Redis refused to claim it (for
            example because its key is not a stream).
        lost: whether a later generation holds the lease; nothing is read until the next assignment.
        known: whether the group existed in Redis; if it must be created after that, Redis has lost data.
        is_new: whether the group began with this owner, so that none before it has left acked entries.
        in_flight: the delivered messages that are not acked in Redis, by offset. Only these message objects
            can be acked: a message from before another owner, or from before Redis lost its data, must not
            ack the entry that has its offset now.
        again: the channels that failed an entry, by offset, where the others have finished with it.
        withheld: the offsets of claimed entries that are delivered later, because they are suspects.
        end: the largest acked offset plus one.
        generation: the generation under which the lease is taken; it stays while the partition does.
        held: whether another live member still holds the lease: nothing is claimed or read until it releases.
        replacing: the lease that the first claim may replace, empty for none; :data:`ANY_LEASE` for any.
        leaving: whether it goes to another member: nothing more is read, begun events are still acked.
    """

    claim_cursor: str | None = FIRST_PAGE
    rewound: bool = False
    died: bool = False
    is_explained: bool = False
    refused_until: float = 0.0
    lost: bool = False
    known: bool = False
    is_new: bool = False
    in_flight: dict[int, Message] = field(default_factory=dict)
    again: dict[int, frozenset[Any]] = field(default_factory=dict)
    withheld: set[int] = field(default_factory=set)
    end: int = 0
    generation: int = 0
    held: bool = False
    replacing: str = ANY_LEASE
    leaving: bool = False

    @property
    def is_read(self) -> bool:
        """Whether new entries are read: all pending ones are claimed."""
        return self.claim_cursor is None and not (self.lost or self.held or self.leaving)

    @property
    def is_claimed(self) -> bool:
        """Whether pending entries are to be claimed now."""
        return (
            self.claim_cursor is not None
            and not (self.lost or self.held or self.leaving)
            and self.refused_until <= monotonic()
        )

    def position(self, acked_end: int) -> int | None:
        """Return the offset before which every entry is done, ``None`` while pending entries are claimed.

        An entry that waits for its next attempt is still in flight.

        Args:
            acked_end: The largest offset that was acked just now, plus one.
        """
        self.end = max(self.end, acked_end)
        if self.claim_cursor is not None:
            return None
        return min((*self.in_flight, *self.withheld), default=self.end)

    def finish(self, offset: int) -> None:
        """Forget an entry that is acked in Redis."""
        self.in_flight.pop(offset, None)
        if self.again:
            self.again.pop(offset, None)

    def forfeit(self) -> None:
        """Forget all entries: another worker may ack them, or they no longer exist."""
        self.in_flight.clear()
        self.again.clear()
