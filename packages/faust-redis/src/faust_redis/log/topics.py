"""What Redis has recorded about topics: how many partitions, how long entries are kept."""

from __future__ import annotations

import asyncio
import random
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]
from faust.types import AppT

from faust_redis.errors import TopicMismatchError
from faust_redis.log.keys import Keys
from faust_redis.redis.commands import AT_ONCE
from faust_redis.redis.scripts import Scripts

__all__ = ["TopicFacts", "TopicRegistry", "partition_of"]

#: Milliseconds a tombstone is kept, as on Kafka. A reader that was away for longer keeps what was deleted.
TOMBSTONES_KEPT: Final = 24 * 60 * 60 * 1000

#: Keys whose hash is remembered: it takes as long to compute as all the rest of sending a message.
HASHES: Final = 16_384


class TopicFacts(NamedTuple):
    """How a topic was declared.

    Attributes:
        partitions: Number of partitions.
        retention: Milliseconds an entry is kept; 0 for none.
        compacting: The last value per key is kept.
    """

    partitions: int
    retention: int
    compacting: bool

    @property
    def is_queue(self) -> bool:
        """Entries may go once every group has acked them."""
        return not self.retention and not self.compacting


class TopicRegistry:
    """Declares topics and remembers what Redis answered, for the life of the process."""

    def __init__(self, app: AppT, scripts: Scripts, keys: Keys) -> None:
        self.app = app
        self._keys = keys
        self.scripts = scripts
        self._facts: dict[str, TopicFacts] = {}
        self._recording = asyncio.Semaphore(AT_ONCE)
        # Faust's descriptor returns the function itself; mypy takes it for a method of the settings.
        self._partitioner: Any = cast(Any, app.conf).producer_partitioner

    async def declare(
        self, topic: str, partitions: int, *, retention: int = 0, compacting: bool = False
    ) -> TopicFacts:
        """Record a topic, or check it against what is recorded.

        Args:
            retention: Milliseconds; 0 for none.

        Raises:
            TopicMismatchError: Redis has recorded another number of partitions.
            redis.exceptions.RedisError: Redis is away.
        """
        facts = await self._record(topic, TopicFacts(partitions, retention, compacting))
        if facts.partitions != partitions:
            raise TopicMismatchError(topic, facts.partitions, partitions)
        self._facts[topic] = facts
        return facts

    async def facts(self, topic: str) -> TopicFacts:
        """Return how a topic is declared; declare it as the app says if nobody has yet.

        Who only sends takes the number of partitions that the topic has, whatever the app's own default is.
        """
        if topic not in self._facts:
            self._facts[topic] = await self._record(topic, self._wanted(topic))
        return self._facts[topic]

    async def declare_to_read(self, topic: str) -> TopicFacts:
        """Declare a topic as the app says, for a worker that is going to read it.

        Raises:
            TopicMismatchError: Redis has recorded another number of partitions.
        """
        wanted = self._wanted(topic)
        return await self.declare(
            topic, wanted.partitions, retention=wanted.retention, compacting=wanted.compacting
        )

    def _wanted(self, topic: str) -> TopicFacts:
        conf = self.app.conf
        if topic == conf.reply_to or topic.startswith(conf.reply_to_prefix):
            # An answer may be sent before the asker has declared where it listens.
            return TopicFacts(1, retention_ms(conf.reply_expires), False)
        declared = self._declared(topic)
        if declared is None:
            return TopicFacts(conf.topic_partitions, 0, False)
        return TopicFacts(
            declared.partitions or conf.topic_partitions,
            retention_ms(declared.retention),
            bool(declared.compacting),
        )

    def tombstones_kept(self, topic: str) -> int:
        """Return for how many milliseconds a compacted topic keeps its tombstones.

        The app may say so as for Kafka, by ``delete.retention.ms`` in the topic's ``config`` or the table's
        ``extra_topic_configs``.
        """
        declared = self._declared(topic)
        config = (declared.config if declared is not None else None) or {}
        return int(config.get("delete.retention.ms", TOMBSTONES_KEPT))

    def _declared(self, topic: str) -> Any:
        return next((t for t in self.app.topics if topic in t.topics), None)

    async def _record(self, topic: str, wanted: TopicFacts) -> TopicFacts:
        facts = wanted.partitions, wanted.retention, int(wanted.compacting)
        async with self._recording:
            recorded = await self.scripts.call("declare_topic", [self._keys.topic(topic)], *facts)
        partitions, retention, compacting = recorded
        return TopicFacts(int(partitions), int(retention), bool(compacting))

    async def redeclare(self) -> None:
        """Record again all this process knows, after Redis lost its data."""
        for topic, facts in list(self._facts.items()):
            await self.declare(
                topic, facts.partitions, retention=facts.retention, compacting=facts.compacting
            )

    def known(self, topic: str) -> TopicFacts | None:
        """Return what this process has already learnt about a topic, without asking Redis."""
        return self._facts.get(topic)

    def partition_for(self, topic: str, key: bytes | None) -> int:
        """Return the partition of a key by ``producer_partitioner``, or the hash that Kafka's clients use.

        By the hash, a key that is ``None`` goes anywhere.

        Raises:
            KeyError: The topic is not known to this process yet.
        """
        count = self._facts[topic].partitions
        if self._partitioner is not None:
            every = list(range(count))
            return int(self._partitioner(key, every, every))
        if key is None:
            return random.randrange(count)
        return partition_of(key, count)


def partition_of(key: bytes, count: int) -> int:
    """Return the one of `count` partitions that a key belongs to, by the hash that Kafka's clients use."""
    return _hash(key) % count


@lru_cache(HASHES)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def retention_ms(retention: object) -> int:
    """Return Faust's retention (seconds, ``timedelta`` or ``None``) in milliseconds."""
    from mode.utils.times import want_seconds

    return int(want_seconds(retention) * 1000) if retention else 0  # type: ignore[arg-type]
