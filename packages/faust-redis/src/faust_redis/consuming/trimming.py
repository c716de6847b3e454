"""Decide which acks trim their partitions, so that many partitions cost little more than few.

Finding out which entries no group needs costs Redis ten times as much as an ack. A commit for few partitions
trims all of them. One for many trims each at most once a second, and the rest is trimmed a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from typing import Any, Final

from faust.types import TP

from faust_redis.redis.commands import REDIS_ERRORS, Outage

__all__ = ["FEW", "Trimmer"]

#: Partitions of one commit that are trimmed whenever they are acked.
FEW: Final = 16
#: Seconds between trims of a partition that is acked together with many others.
INTERVAL: Final = 1.0


class Trimmer:
    """The partitions of one worker that hold entries which no group may need any more."""

    def __init__(
        self, owned: Callable[[], Collection[TP]], trim: Callable[[list[TP]], Awaitable[Any]]
    ) -> None:
        """Take what it needs of the consumer.

        Args:
            owned: Returns the queues of this worker.
            trim: Trims partitions; may be called again if Redis was away.
        """
        self._owned = owned
        self._trim = trim
        self._trimmed_at: dict[TP, float] = {}
        self._left: set[TP] = set()
        self._has_left = asyncio.Event()
        self._outage = Outage("trimming")

    def choose(self, tps: Collection[TP]) -> Collection[TP]:
        """Return those of some partitions whose acks should trim."""
        if len(tps) <= FEW:
            return tps
        now = monotonic()
        return {tp for tp in tps if now - self._trimmed_at.get(tp, 0.0) >= INTERVAL}

    def note(self, acked: Collection[TP], trimmed: Collection[TP]) -> None:
        """Record that partitions were acked, and some of them trimmed."""
        now = monotonic()
        self._trimmed_at.update(dict.fromkeys(trimmed, now))
        self._left.difference_update(trimmed)
        for tp in acked:
            if tp not in trimmed:
                self.leave(tp)

    def leave(self, tp: TP) -> None:
        """Have a partition trimmed soon, such as one whose owner before may have left something."""
        self._left.add(tp)
        self._has_left.set()

    async def run(self) -> None:
        """Trim what was left, until cancelled; go on through every outage of Redis."""
        while True:
            await self._has_left.wait()
            await asyncio.sleep(INTERVAL)
            try:
                await self.trim_left()
            except REDIS_ERRORS as error:
                self._outage.log(error)

    async def trim_left(self) -> None:
        """Trim what was left.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        owned = self._owned()
        self._trimmed_at = {tp: at for tp, at in self._trimmed_at.items() if tp in owned}
        left = sorted(self._left.intersection(owned))
        if left:
            await self._trim(left)
        self._left.clear()
        self._has_left.clear()
