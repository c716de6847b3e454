"""Preparing Redis for the topics that a worker subscribes to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from faust_redis.consuming.offsets import Persist
from faust_redis.context import TransportContext
from faust_redis.redis.probe import probe

__all__ = ["TopicPreparation"]


class TopicPreparation:
    """Checks the server once, and records topics before they are read."""

    def __init__(self, context: TransportContext, group: str, persist: Persist) -> None:
        self._context = context
        self._group = group
        self._persist = persist
        self._is_probed = False

    async def prepare(self, topics: Iterable[str]) -> None:
        """Record these topics in Redis, each with its number of partitions.

        Raises:
            UnsupportedServerError: Redis lacks features that the transport needs.
            TopicMismatchError: A topic is recorded with another number of partitions.
        """
        if not self._is_probed:
            state = self._context.keys.group(self._group).state
            await self._persist(partial(probe, self._context.server, state))
            self._is_probed = True
        for topic in topics:
            await self._persist(partial(self._context.topics.declare_to_read, topic))
