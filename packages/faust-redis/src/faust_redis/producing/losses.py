"""Notice that Redis has older data than it had confirmed, after a failover or the restore of a snapshot.

Every partition records the number of the last message of each producer (``append.lua``). A producer compares
these records with its own whenever a connection was lost or a message is refused as out of order, before it
sends anything further. The lost messages that it still has are sent again first, so that the order is kept.
"""

from __future__ import annotations

from typing import Final

from mode import get_logger

from faust_redis.context import TransportContext
from faust_redis.producing.appends import Destination, OutgoingEntry
from faust_redis.producing.recent import RecentEntries

__all__ = ["Losses"]

logger = get_logger(__name__)

#: The record of a partition that has none of a producer.
_NO_RECORD: Final = 0


class Losses:
    """Counts the messages that Redis confirmed and no longer has a record of.

    Attributes:
        count: Their number since the process started, including those that were sent again.
        resent: How many of them were given back to be sent again.
        is_due: Whether a check is due before anything further is sent.
    """

    def __init__(self, context: TransportContext, producer: str) -> None:
        """Take the context and the id of the producer."""
        self._context = context
        self._producer = producer
        self._destinations: set[Destination] = set()
        self._recent = RecentEntries(
            context.options.resend_seconds, is_one_server=context.server.stream.keeps_order
        )
        self.count = self.resent = 0
        self.is_due = False

    def note(self, destination: Destination, entries: list[OutgoingEntry], offset: int) -> None:
        """Note messages that a partition has confirmed.

        Args:
            offset: The offset of the last one.
        """
        destination.confirm(entries[-1].sequence, offset)
        self._destinations.add(destination)
        if not self._context.changelogs.is_changelog(destination.tp.topic):  # a table is rebuilt instead
            self._recent.add(entries)

    async def check(self) -> list[OutgoingEntry]:
        """Compare the records of all partitions with what they confirmed, and log each difference.

        Returns:
            The lost messages that have to be sent again, in the order they were sent.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable; the check is still due.
        """
        asked = [each for each in self._destinations if each.recorded]
        commands = [("HGET", self._context.keys.producers(each.tp), self._producer) for each in asked]
        replies = await self._context.server.stream.execute_many(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        self.is_due = False
        again: list[OutgoingEntry] = []
        for destination, reply in zip(asked, replies, strict=True):
            recorded = _NO_RECORD if reply is None else _last_recorded(reply)
            if recorded < destination.confirmed:
                again += self._lost(destination, recorded)
        return sorted(again, key=lambda entry: entry.number)

    def close(self) -> None:
        """Forget the messages that could be sent again."""
        self._recent.clear()

    def _lost(self, destination: Destination, recorded: int) -> list[OutgoingEntry]:
        """Log the loss of the messages after the recorded one; return those to send again."""
        lost, tp = destination.confirmed - recorded, destination.tp
        again = self._recent.take(destination, recorded)
        if recorded == _NO_RECORD and destination.forgotten:
            again = []  # not older, but empty: somebody deleted the data
        self.count += lost
        self.resent += len(again)
        logger.error(
            "%s-%s: Redis has no record of the last %d messages that it confirmed to this process, up to "
            "offset %d: its data is older, after a failover or a restore; their offsets are assigned again, "
            "and %d of the messages are sent again",
            *tp,
            lost,
            destination.offset,
            len(again),
        )
        destination.confirmed = recorded
        if self._context.changelogs.is_changelog(tp.topic):
            self._context.changelogs.mark_diverged(tp)
            self._context.changelogs.on_loss()
        return again


def _last_recorded(state: bytes) -> int:
    """Return the number of a producer's last message in its state, which ``append.lua`` describes."""
    first, count, _ = state.split()[1].split(b":")
    return int(first) + int(count) - 1
