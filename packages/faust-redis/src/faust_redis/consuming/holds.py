"""Partitions that an operator has paused: their owner reads no further entry of them until they are resumed.

Entries that were read before are finished, their retries included. The backlog stays in Redis, so nothing is
lost, and a pause outlives workers and rebalances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from faust.types import TP
from mode import get_logger

from faust_redis.context import TransportContext
from faust_redis.redis.commands import REDIS_ERRORS

__all__ = ["Holds"]

logger = get_logger(__name__)

#: Seconds between looks at what is paused, and so the maximum delay of a pause, besides one read.
INTERVAL: Final = 1.0


class Holds:
    """Follows what is paused in one consumer group."""

    def __init__(self, context: TransportContext, group: str, on_change: Callable[[], None]) -> None:
        """Store the arguments; ``on_change`` is called when something was paused or goes on."""
        self._context = context
        self._group = group
        self._on_change = on_change
        self._paused: frozenset[str] = frozenset()

    def unheld(self, tps: set[TP]) -> set[TP]:
        """Return the partitions that are not paused."""
        paused = self._paused
        if not paused:
            return tps
        return {tp for tp in tps if tp.topic not in paused and f"{tp.topic}:{tp.partition}" not in paused}

    async def follow(self) -> None:
        """Look every second until cancelled; during an outage of Redis the last state stays in force."""
        key = self._context.keys.paused(self._group)
        while True:
            try:
                self._update(await self._context.server.stream.execute("HGETALL", key))
            except REDIS_ERRORS as error:
                logger.debug("looking for paused partitions failed: %r", error)
            await asyncio.sleep(INTERVAL)

    def _update(self, reply: Any) -> None:
        names = reply.keys() if isinstance(reply, dict) else reply[::2]
        paused = frozenset(name.decode() for name in names)
        if paused != self._paused:
            logger.warning("paused by an operator: %s", ", ".join(sorted(paused)) or "nothing")
            self._paused = paused
            self._on_change()
