"""Read the busy partitions of a cluster together: one pipelined round trip to each node.

One ``XREADGROUP`` of a cluster takes the keys of one slot only, so each partition is read by a blocking
command of its own, on its own connection. A busy partition would end it for every entry or two, at several
times the cost of one read that takes all entries since the last one. So partitions whose blocking reads end
at once are polled instead, all of them in one round; one that is empty goes back to a blocking read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from faust.types import TP
from redis.exceptions import ResponseError

from faust_redis.consuming.read_plans import ReadGroup
from faust_redis.context import TransportContext
from faust_redis.redis.commands import Command, is_unavailable

__all__ = ["BUSY_SECONDS", "Polls"]

#: A blocking read that brings entries within this time shows that its partition is busy. In a longer pause,
#: an empty poll and another blocking read would cost more than they save.
BUSY_SECONDS: Final = 0.02


class Polls:
    """The partitions that are polled."""

    def __init__(self, context: TransportContext) -> None:
        self._context = context
        self._busy: set[TP] = set()

    def note(self, tp: TP, seconds: float) -> None:
        """Note that a blocking read of a partition has brought entries after some time."""
        key = self._context.keys.stream(tp)
        # Where one read covers several keys, it already takes all entries since the last one.
        if seconds < BUSY_SECONDS and self._context.server.read_of(key) == key:
            self._busy.add(tp)

    def divide(self, groups: Sequence[ReadGroup]) -> tuple[Sequence[ReadGroup], list[TP]]:
        """Return the groups to read by blocking, and the partitions to poll."""
        if not self._busy:
            return groups, []
        polled = [tp for group in groups for tp in group.tps if tp in self._busy]
        return [group for group in groups if not group.tps & self._busy], polled

    async def read(
        self, tps: Iterable[TP], command: Callable[[str], Command], failed: Callable[[TP], None]
    ) -> list[tuple[TP, Any]]:
        """Poll partitions and return the entries of those that have any.

        Args:
            command: Returns the command that reads a key.
            failed: Called with each partition whose reply may be lost.

        Raises:
            redis.exceptions.RedisError: A node is away, and no other has brought entries.
        """
        asked = list(tps)
        replies: Sequence[Any] = ()
        try:
            replies = await self._context.server.stream.execute_many(
                [command(self._context.keys.stream(tp)) for tp in asked]
            )
        finally:
            if not replies:
                for tp in asked:
                    failed(tp)
        found = []
        errors = []
        for tp, reply in zip(asked, replies, strict=True):
            if isinstance(reply, Exception):
                failed(tp)
                errors.append(reply)
            elif reply:
                found.append((tp, reply[0][1]))
            if isinstance(reply, Exception) or not reply:
                self._busy.discard(tp)
        for error in errors:
            # Without a group, NOGROUP: claiming the partition makes it again.
            if not found and (not isinstance(error, ResponseError) or is_unavailable(error)):
                raise error
        return found
