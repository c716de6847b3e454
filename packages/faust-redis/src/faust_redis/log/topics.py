"""The declarations of topics that Redis has recorded: partitions, retention, compacting.

The stronger declaration prevails, in any order: the longest retention is
kept, and a topic is compacted once a program has asked for it. A program that declares neither accepts both.
Only what can't be reconciled is refused: another number of partitions, or ``compacting=False`` for a
compacted topic.
"""

from __future__ import annotations

import asyncio
import random
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]
from faust.types import AppT
from mode import get_logger

from faust_redis.errors import TopicMismatchError, TopicNameError
from faust_redis.faust_hooks import tables
from faust_redis.log.keys import Keys
from faust_redis.redis.commands import AT_ONCE, execute
from faust_redis.redis.scripts import DECLARE_TOPIC, ScriptRunner

__all__ = ["TopicFacts", "TopicRegistry", "partition_of"]

logger = get_logger(__name__)

#: Milliseconds a tombstone is kept, as on Kafka. A reader that was down for longer keeps deleted keys.
TOMBSTONES_KEPT: Final = 24 * 60 * 60 * 1000

#: Keys whose hash is remembered: it takes as long to compute as all the rest of sending a message.
HASHES: Final = 16_384


#: Longest name of a topic on Kafka.
NAME_LENGTH: Final = 249
#: The characters of Kafka's topic names, and those of the functions that Faust names topics after.
_NAME: Final = re.compile(r"[A-Za-z0-9._<>-]+")


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


class _Wanted(NamedTuple):
    """A program's declaration of a topic; ``compacting`` is ``None`` if it accepts either."""

    partitions: int
    retention: int
    compacting: bool | None


class TopicRegistry:
    """Declares topics and caches Redis's answers for the life of the process."""

    def __init__(self, app: AppT, scripts: ScriptRunner, keys: Keys) -> None:
        self.app = app
        self._keys = keys
        self.scripts = scripts
        self._facts: dict[str, TopicFacts] = {}
        self._recording = asyncio.Semaphore(AT_ONCE)
        # Faust's descriptor returns the function itself; mypy takes it for a method of the settings.
        self._partitioner: Any = cast(Any, app.conf).producer_partitioner

    async def declare(
        self, topic: str, partitions: int, *, retention: int = 0, compacting: bool | None = None
    ) -> TopicFacts:
        """Record a topic, or check it against the recorded declaration.

        Args:
            retention: Milliseconds; 0 for none. The longest one ever declared applies.
            compacting: ``None`` accepts either.

        Raises:
            TopicMismatchError: Redis has recorded another number of partitions, or the opposite of
                ``compacting``.
            TopicNameError: The name is not allowed for a topic.
            redis.exceptions.RedisError: Redis is away.
        """
        retention = self._kept_by_table(topic, retention)
        facts = await self._record(topic, _Wanted(partitions, retention, compacting))
        if facts.partitions != partitions:
            raise TopicMismatchError(topic, facts.partitions, partitions)
        if compacting is not None and facts.compacting != compacting:
            raise TopicMismatchError(topic, facts.compacting, compacting, "compacting")
        self._learn(topic, facts)
        return facts

    async def facts(self, topic: str) -> TopicFacts:
        """Return the declaration of a topic; declare it with the app's settings if it is new.

        A program that only sends takes the number of partitions that the topic has, whatever the app's own
        default is.

        Raises:
            TopicNameError: The name is not allowed for a topic.
            redis.exceptions.RedisError: Redis is away.
        """
        if topic not in self._facts:
            self._learn(topic, await self._record(topic, self._wanted(topic)))
        return self._facts[topic]

    async def declare_to_read(self, topic: str) -> TopicFacts:
        """Declare a topic with the app's settings, for a worker that is going to read it.

        Raises:
            TopicMismatchError, TopicNameError: As :meth:`declare`.
        """
        wanted = self._wanted(topic)
        partitions = wanted.partitions
        declared = self._declared(topic)
        if declared is not None and not (declared.partitions or declared.internal):
            recorded = await execute(self.scripts.redis, "HGET", self._keys.topic(topic), "partitions")
            if recorded is not None and int(recorded) == self.app.conf.topic_partitions:
                partitions = int(recorded)  # a program without tables, or with others, was the first
            self._warn_of_mismatch(topic, partitions)
        return await self.declare(topic, partitions, retention=wanted.retention, compacting=wanted.compacting)

    def _warn_of_mismatch(self, topic: str, partitions: int) -> None:
        default = self.app.conf.topic_partitions
        for table in tables.fed_by_events(self.app.tables):
            if (table.partitions or default) != partitions:
                logger.warning(
                    "topic %s has %d partitions and declares none, table %s has %d: an event of this topic "
                    "that changes this table will fail; declare the same partitions= for both",
                    topic,
                    partitions,
                    table.name,
                    table.partitions or default,
                )

    def _wanted(self, topic: str) -> _Wanted:
        conf = self.app.conf
        if topic == conf.reply_to or topic.startswith(conf.reply_to_prefix):
            # An answer may be sent before the asker has declared where it listens.
            return _Wanted(1, retention_ms(conf.reply_expires), None)
        declared = self._declared(topic)
        if declared is None:
            return _Wanted(conf.topic_partitions, 0, None)
        retention = self._kept_by_table(topic, retention_ms(declared.retention))
        return _Wanted(declared.partitions or self._default(declared), retention, declared.compacting)

    def _default(self, declared: Any) -> int:
        """Return the number of partitions for a topic that declares none.

        A table is changed by events of topics with as many partitions as it has. Where all tables of an app
        agree on a number, a source topic has it as well: on Kafka the operator makes such topics, while
        Faust itself makes internal ones with the app's default.
        """
        default = int(self.app.conf.topic_partitions)
        if declared.internal:
            return default
        numbers = {table.partitions or default for table in tables.fed_by_events(self.app.tables)}
        return numbers.pop() if len(numbers) == 1 else default

    def _kept_by_table(self, topic: str, retention: int) -> int:
        """Return a retention that keeps each change of a table's windows until they have expired.

        Faust declares the windows' ``expires``, and would forget what was counted in a window that is open.
        """
        table = tables.tables_by_changelog(self.app.tables).get(topic)
        return max(retention, int(tables.time_kept(table) * 1000)) if table is not None else retention

    def tombstones_kept(self, topic: str) -> int:
        """Return the milliseconds for which a compacted topic keeps its tombstones.

        The app may set this as for Kafka, by ``delete.retention.ms`` in the topic's ``config`` or the table's
        ``extra_topic_configs``.
        """
        declared = self._declared(topic)
        config = (declared.config if declared is not None else None) or {}
        return int(config.get("delete.retention.ms", TOMBSTONES_KEPT))

    def _declared(self, topic: str) -> Any:
        return next((t for t in self.app.topics if topic in t.topics), None)

    async def _record(self, topic: str, wanted: _Wanted) -> TopicFacts:
        check_name(topic)
        async with self._recording:
            recorded = await self.scripts.call(
                DECLARE_TOPIC,
                [self._keys.topic(topic)],
                partitions=wanted.partitions,
                retention_ms=wanted.retention,
                compacting={None: 0, True: 1, False: -1}[wanted.compacting],
            )
        partitions, retention, compacting = recorded
        return TopicFacts(int(partitions), int(retention), bool(compacting))

    def _learn(self, topic: str, facts: TopicFacts) -> None:
        before = self._facts.get(topic)
        if before is not None and before != facts:
            logger.warning(
                "topic %s: another program has declared it with retention=%g s, compacting=%s; from now on "
                "that is in force here, too",
                topic,
                facts.retention / 1000,
                facts.compacting,
            )
        self._facts[topic] = facts

    async def redeclare(self) -> None:
        """Record all topics of this process again, after Redis lost its data."""
        for topic, facts in list(self._facts.items()):
            await self.declare(
                topic, facts.partitions, retention=facts.retention, compacting=facts.compacting or None
            )

    async def refresh(self) -> None:
        """Read other programs' declarations of the topics that this process uses.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        for topic, facts in list(self._facts.items()):
            async with self._recording:
                recorded = await execute(
                    self.scripts.redis,
                    "HMGET",
                    self._keys.topic(topic),
                    "partitions",
                    "retention",
                    "compacting",
                )
            # A missing topic is declared again by the next worker that joins.
            if None not in recorded and int(recorded[0]) == facts.partitions:
                self._learn(topic, TopicFacts(facts.partitions, int(recorded[1]), recorded[2] == b"1"))

    def known(self, topic: str) -> TopicFacts | None:
        """Return the cached declaration of a topic, without asking Redis."""
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


def check_name(topic: str) -> None:
    """Refuse a name that Kafka refuses.

    Raises:
        TopicNameError: The name is empty, too long, ``.`` or ``..``, or has a character that is not allowed.
    """
    if not topic:
        raise TopicNameError(topic, "is empty")
    if len(topic) > NAME_LENGTH:
        raise TopicNameError(topic, f"has {len(topic)} characters, allowed are {NAME_LENGTH}")
    if topic in (".", ".."):
        raise TopicNameError(topic, "is the name of a folder")
    if _NAME.fullmatch(topic) is None:
        raise TopicNameError(topic, "may only contain ASCII letters, digits, '.', '_' and '-'")


def partition_of(key: bytes, count: int) -> int:
    """Return a key's partition among ``count``, by the hash that Kafka's clients use."""
    return _hash(key) % count


@lru_cache(HASHES)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def retention_ms(retention: object) -> int:
    """Return Faust's retention (seconds, ``timedelta`` or ``None``) in milliseconds."""
    from mode.utils.times import want_seconds

    return int(want_seconds(retention) * 1000) if retention else 0  # type: ignore[arg-type]
