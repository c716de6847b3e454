"""Inspect topics, consumer groups, members, partitions and entries; nothing here changes anything in Redis.

async with Redis.from_url("redis://localhost") as redis:
    inspector = Inspector(redis)
    for name, topic in (await inspector.topics()).items():
        print(name, topic.partitions)
    sample = await inspector.sample("orders", group="shop")
    print(sample.lag, sample.pending, [member.id for member in sample.members])

A monitor that samples many groups repeatedly puts the commands of its :class:`GroupSampler` objects into
one pipeline, and so pays one round trip, however many groups there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from faust_redis.log.entries import Record, decode, offset_of
from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.clients import execute_many
from faust_redis.redis.commands import Command, execute
from faust_redis.redis.scripts import COUNT_ENTRIES, SAMPLE_PARTITION, load_script
from faust_redis.samples import GroupSample, Member, PartitionSample, StreamEntry

__all__ = [
    "PAGE_LIMIT",
    "GroupSample",
    "GroupSampler",
    "Inspector",
    "Member",
    "PartitionSample",
    "Record",
    "StreamEntry",
    "TopicFacts",
]

#: Entries of a page at most, as each may hold megabytes.
PAGE_LIMIT: Final = 100


class GroupSampler:
    """The commands that sample one topic and one group, and the reading of their replies; no I/O.

    The number of commands depends on the number of partitions, never on that of entries. A pipeline whose
    replies hold ``NoScriptError`` is sent again after :meth:`load`.
    """

    def __init__(
        self, topic: str, group: str | None = None, *, namespace: str = "", summing: int = 0
    ) -> None:
        """Take a topic, and a consumer group; by default the one with the topic's name.

        Args:
            summing: The number of partitions to add up in one command, 1 on a cluster. A sample then holds
                one partition for each command, only with numbers of entries, at an eighth of the cost. By
                default it holds all partitions with all figures.
        """
        self._keys = Keys(namespace)
        self._summing = summing
        self.topic = topic
        self.group = group or topic
        #: The last replies were of fewer or more partitions than the topic has: sample once more.
        self.is_stale = False
        self._partitions = 0

    def commands(self) -> list[Command]:
        """Return the commands to send, in order."""
        keys = self._keys.group(self.group)
        commands: list[Command] = [
            ("ZRANGE", keys.heartbeats, 0, -1, "WITHSCORES"),
            ("HGET", self._keys.topic(self.topic), "partitions"),
            ("HGET", keys.state, "generation"),
            ("EXISTS", keys.plan),
            ("HGETALL", self._keys.paused(self.group)),
        ]
        if self._summing:
            streams = [self._keys.stream((self.topic, number)) for number in range(self._partitions)]
            return [
                *commands,
                *(COUNT_ENTRIES.command(page, group=self.group) for page in _pages(streams, self._summing)),
            ]
        for number in range(self._partitions):
            place = (self.topic, number)
            names = (
                self._keys.stream(place),
                self._keys.lease(place, self.group),
                self._keys.attempts(place, self.group),
                self._keys.dead(place),
            )
            commands.append(SAMPLE_PARTITION.command(names, group=self.group))
        return commands

    def liveness_commands(self) -> list[Command]:
        """Return the commands for ``read_liveness``, whose cost depends on neither partitions nor members."""
        keys = self._keys.group(self.group)
        return [("ZRANGE", keys.heartbeats, 0, 0, "REV", "WITHSCORES"), ("EXISTS", keys.plan)]

    def read_liveness(self, replies: Iterator[Any]) -> tuple[Member | None, bool]:
        """Return the member with the latest heartbeat, and whether partitions are assigned, from replies."""
        heartbeats, planned = _checked(next(replies)), _checked(next(replies))
        return next(iter(_members(heartbeats)), None), bool(planned)

    def read(self, replies: Iterator[Any]) -> GroupSample:
        """Take the replies to :meth:`commands` off an iterator and return what they hold.

        Raises:
            redis.exceptions.RedisError: The first error among the replies.
        """
        calls = ceil(self._partitions / self._summing) if self._summing else self._partitions
        heartbeats, recorded, generation, planned, held, *partitions = [
            _checked(next(replies)) for _ in range(5 + calls)
        ]
        paused = frozenset(held if isinstance(held, dict) else held[::2])
        members = tuple(sorted(_members(heartbeats), key=lambda member: member.id))
        self.is_stale = int(recorded or 0) != self._partitions
        self._partitions = int(recorded or 0)
        settled = bool(planned) or not members
        sampled = tuple(
            PartitionSample(added=reply[0], read=reply[1], pending=reply[2])
            if self._summing
            else _partition(reply, is_paused(self.topic, number, paused))
            for number, reply in enumerate(partitions)
        )
        return GroupSample(sampled, members, int(generation or 0), settled)

    @staticmethod
    async def load(redis: Redis) -> None:
        """Load the scripts that sample partitions into Redis.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        for script in (SAMPLE_PARTITION, COUNT_ENTRIES):
            await load_script(redis, script)


class Inspector:
    """Reads the transport's data in Redis."""

    def __init__(self, redis: Redis, *, namespace: str = "") -> None:
        """Take a client that does not decode responses, and the namespace to look into."""
        self._redis = redis
        self._keys = Keys(namespace)

    async def topics(self) -> dict[str, TopicFacts]:
        """Return every recorded topic by its name; scans all keys of the server.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        prefix = self._keys.topic("")
        names = [key.decode().removeprefix(prefix) async for key in self._redis.scan_iter(f"{prefix}*")]
        found = {name: await self.topic(name) for name in sorted(names)}
        return {name: facts for name, facts in found.items() if facts is not None}

    async def topic(self, name: str) -> TopicFacts | None:
        """Return how a topic is declared; None if it was never used.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        fields = ("partitions", "retention", "compacting")
        facts = await execute(self._redis, "HMGET", self._keys.topic(name), *fields)
        if facts[0] is None:
            return None
        return TopicFacts(int(facts[0]), int(facts[1] or 0), bool(int(facts[2] or 0)))

    async def groups(self, topic: str) -> list[str]:
        """Return the names of the consumer groups that read a topic.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        facts = await self.topic(topic)
        names: set[str] = set()
        for number in range(facts.partitions if facts else 0):
            try:
                groups = await self._redis.xinfo_groups(self._keys.stream((topic, number)))
            except ResponseError as error:
                if "no such key" in str(error):
                    continue  # a partition without an entry so far
                raise
            names.update(group["name"].decode() for group in groups)
        return sorted(names)

    async def sample(self, topic: str, group: str | None = None) -> GroupSample:
        """Return figures of a topic and one of its groups, by default the one with the topic's name.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        sampler = GroupSampler(topic, group, namespace=self._keys.namespace)
        while True:
            commands = sampler.commands()
            try:
                sample = sampler.read(iter(await execute_many(self._redis, commands)))
            except NoScriptError:
                await sampler.load(self._redis)
                continue
            if not sampler.is_stale:
                return sample

    async def lengths(self, topics: Mapping[str, int]) -> dict[str, int]:
        """Return the number of entries of each topic, in one round trip.

        A topic without retention is emptied as its entries are acked, so this is its backlog.

        Args:
            topics: The number of partitions by the topic's name.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        places = [(topic, number) for topic, partitions in topics.items() for number in range(partitions)]
        replies = await execute_many(self._redis, [("XLEN", self._keys.stream(place)) for place in places])
        lengths = map(_checked, replies)
        return {topic: sum(next(lengths) for _ in range(partitions)) for topic, partitions in topics.items()}

    async def latest(
        self, topic: str, partition: int, group: str, *, before: int | None = None, count: int = 20
    ) -> list[StreamEntry]:
        """Return the entries with the largest offsets, the latest first.

        A page costs what it holds, however long the stream is.

        Args:
            before: An offset; only older entries are returned.
            count: At most :data:`PAGE_LIMIT`.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        end = "+" if before is None else f"(0-{before}"
        limit = min(count, PAGE_LIMIT)
        stream = self._keys.stream((topic, partition))
        found = await execute(self._redis, "XREVRANGE", stream, end, "-", "COUNT", limit)
        records = [_record(entry_id, fields) for entry_id, fields in found]
        if not records:
            return []
        waits = await self._pending(stream, group, (records[-1].offset, records[0].offset), limit)
        failed = await self._attempts(topic, partition, group, [record.offset for record in records])
        return [
            StreamEntry(record.offset, record, failed[record.offset], *waits.get(record.offset, ()))
            for record in records
        ]

    async def pending(
        self, topic: str, partition: int, group: str, *, after: int = 0, count: int = 20
    ) -> list[StreamEntry]:
        """Return entries that were read and are not acked, the oldest first.

        Args:
            after: An offset; only newer entries are returned.
            count: At most :data:`PAGE_LIMIT`.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        stream = self._keys.stream((topic, partition))
        waits = await self._pending(stream, group, (after + 1, None), min(count, PAGE_LIMIT))
        if not waits:
            return []
        commands: list[Command] = [("XRANGE", stream, f"0-{offset}", f"0-{offset}") for offset in waits]
        found = list(map(_checked, await execute_many(self._redis, commands)))
        failed = await self._attempts(topic, partition, group, list(waits))
        return [
            StreamEntry(offset, _record(*page[0]) if page else None, failed[offset], *waits[offset])
            for offset, page in zip(waits, found, strict=True)
        ]

    async def _pending(
        self, stream: str, group: str, offsets: tuple[int, int | None], count: int
    ) -> dict[int, tuple[str, float, int]]:
        first, last = offsets
        end = "+" if last is None else f"0-{last}"
        try:
            rows: list[Any] = await self._redis.xpending_range(stream, group, f"0-{first}", end, count)
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                return {}  # the group has never read, or the stream is gone
            raise
        return {
            offset_of(row["message_id"]): (
                row["consumer"].decode(),
                row["time_since_delivered"] / 1000,
                row["times_delivered"],
            )
            for row in rows
        }

    async def _attempts(
        self, topic: str, partition: int, group: str, offsets: Sequence[int]
    ) -> dict[int, int]:
        key = self._keys.attempts((topic, partition), group)
        counts = await execute(self._redis, "HMGET", key, *(f"0-{offset}" for offset in offsets))
        return {offset: int(count or 0) for offset, count in zip(offsets, counts, strict=True)}


def _pages(streams: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (streams[at : at + size] for at in range(0, len(streams), size))


def _checked(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _members(reply: Sequence[Any]) -> list[Member]:
    """Return the members of a ``ZRANGE … WITHSCORES``: pairs as lists, or one flat list in RESP2."""
    pairs = (
        reply if reply and isinstance(reply[0], list | tuple) else zip(reply[::2], reply[1::2], strict=True)
    )
    return [Member(name.decode(), float(score) / 1000) for name, score in pairs]


def is_paused(topic: str, partition: int, paused: Collection[bytes]) -> bool:
    """Return whether a partition, or its whole topic, is among what an operator has paused."""
    return topic.encode() in paused or f"{topic}:{partition}".encode() in paused


def _partition(reply: list[Any], paused: bool) -> PartitionSample:
    length, added, read, pending, oldest, sent, lease, failing, dead = reply
    owner = lease.decode().partition(":")[2] if lease else None
    return PartitionSample(
        length, added, read, pending, oldest, sent / 1000 if sent else None, owner, failing, dead, paused
    )


def _record(entry_id: bytes, fields: Any) -> Record:
    flat = [part for pair in fields.items() for part in pair] if isinstance(fields, dict) else fields
    return decode(entry_id, flat)
