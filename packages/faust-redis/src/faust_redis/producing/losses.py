"""Notice that Redis has older data than it had confirmed, after a failover or the restore of a snapshot.

Every partition records the number of the last message of each producer (``append.lua``). A producer compares
these records with its own whenever a connection was lost, before it sends anything further. Nothing is
compared while the connections hold.
"""

from __future__ import annotations

from time import monotonic
from typing import Final, NamedTuple

from faust.types import TP
from mode import get_logger

from faust_redis.context import TransportContext

__all__ = ["Losses"]

logger = get_logger(__name__)

#: Seconds for which a partition surely remembers a producer that adds nothing: less than ``PRODUCER_KEPT``.
REMEMBERED_SECONDS: Final = 20 * 60 * 60.0


class _Confirmed(NamedTuple):
    """The last message that a partition has confirmed."""

    sequence: int
    offset: int
    at: float


class Losses:
    """Counts the messages that Redis confirmed and no longer has a record of.

    Attributes:
        count: Their number since the process started.
        is_due: Whether a connection was lost since the last check.
    """

    def __init__(self, context: TransportContext, producer: str) -> None:
        """Take the context and the id of the producer."""
        self._context = context
        self._producer = producer
        self._confirmed: dict[TP, _Confirmed] = {}
        self.count = 0
        self.is_due = False

    def note(self, tp: TP, sequence: int, offset: int) -> None:
        """Take note of the last message that a partition has confirmed."""
        self._confirmed[tp] = _Confirmed(sequence, offset, monotonic())

    async def check(self) -> None:
        """Compare the records of all partitions with what they confirmed, and log each difference.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable; the check is still due.
        """
        asked = dict(self._confirmed)
        commands = [("HGET", self._context.keys.producers(tp), self._producer) for tp in asked]
        replies = await self._context.server.stream.execute_many(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        self.is_due = False
        for (tp, last), reply in zip(asked.items(), replies, strict=True):
            recorded = 0 if reply is None else _last_recorded(reply)
            if recorded >= last.sequence or monotonic() - last.at > REMEMBERED_SECONDS:
                continue
            self._report(tp, last, last.sequence - recorded)

    def _report(self, tp: TP, last: _Confirmed, lost: int) -> None:
        del self._confirmed[tp]
        self.count += lost
        logger.error(
            "%s-%s: Redis has no record of the last %d messages that it confirmed to this process, up to "
            "offset %d: its data is older, after a failover or a restore; their offsets are assigned again",
            *tp,
            lost,
            last.offset,
        )
        if self._context.changelogs.is_changelog(tp.topic):
            self._context.changelogs.mark_diverged(tp)
            self._context.changelogs.on_loss()


def _last_recorded(state: bytes) -> int:
    """Return the number of a producer's last message in its state, which ``append.lua`` describes."""
    first, count, _ = state.split()[1].split(b":")
    return int(first) + int(count) - 1
