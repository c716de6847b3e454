"""The topics to which an app commits outputs exactly once, recorded so that an operator sees who writes them.

Other messages leave a record of their producer at each partition; those of a commit have no producer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from faust_redis.context import TransportContext
from faust_redis.redis.commands import REDIS_ERRORS, execute

__all__ = ["OutputTopics"]

#: Seconds after which a topic is recorded again, and for which the record lives: as long as a producer's.
RENEWAL: Final = 3600.0
LIFETIME: Final = 24 * 60 * 60


class OutputTopics:
    """Records the output topics of one consumer group; a topic costs one command an hour."""

    def __init__(self, context: TransportContext, group: str) -> None:
        self._context = context
        self._group = group
        self._due: set[str] = set()
        self._recorded: dict[str, float] = {}

    def note(self, topics: Iterable[str]) -> None:
        """Note topics that outputs were committed to."""
        now = time.monotonic()
        for topic in topics:
            if now - self._recorded.get(topic, float("-inf")) > RENEWAL:
                self._due.add(topic)

    async def record(self) -> None:
        """Record the topics that are due; during an outage of Redis they stay due."""
        if not self._due:
            return
        key, topics = self._context.keys.outputs(self._group), sorted(self._due)
        try:
            await execute(
                self._context.redis, "HSET", key, *(part for topic in topics for part in (topic, 1))
            )
            await execute(self._context.redis, "EXPIRE", key, LIFETIME)
        except REDIS_ERRORS:
            return
        self._due.difference_update(topics)
        self._recorded |= dict.fromkeys(topics, time.monotonic())
