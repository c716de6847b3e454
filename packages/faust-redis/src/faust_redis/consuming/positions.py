"""What Faust asks of a consumer about offsets and topics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from faust.transport import base
from faust.types import TP
from redis.exceptions import ResponseError

from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.log.entries import decode_all, offset_of
from faust_redis.log.keys import stream_key
from faust_redis.redis.commands import Outage, execute, is_unavailable

__all__ = ["RETRY_DELAY", "Positions"]

_T = TypeVar("_T")

#: Seconds between tries while Redis is away.
RETRY_DELAY: Final = 0.5


class Positions(base.Consumer):
    """The part of the consumer that looks, and moves nothing but the places where logs are read."""

    reader: PartitionReader
    _context: TransportContext

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ends_told: dict[TP, int] = {}

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to what is not acked yet: every owned partition is claimed again."""
        for tp in self.reader.queues:
            self.reader.rewind(tp)
        return {}

    async def _seek(self, partition: TP, offset: int) -> None:
        if partition in self.reader.logs:
            self.reader.logs[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek logs (changelogs, reply topics) to offsets; queues keep what is pending."""
        for tp, offset in partitions.items():
            await self._seek(tp, offset)
            self._read_offset[tp] = offset or None

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is read next."""
        if tp in self.reader.logs:
            return self.reader.logs[tp]
        return self.reader.ends.get(tp)

    def highwater(self, tp: TP) -> int:
        """Return the end of a partition, as far as it has been read."""
        return self.reader.ends.get(tp, 0)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offset that each partition still holds."""
        offsets = {}
        for tp in partitions:
            command = ("XRANGE", stream_key(*tp), "-", "+", "COUNT", 1)
            first = await self.persist(partial(execute, self._context.redis, *command))
            offset = offset_of(first[0][0]) if first else await self._end_of(tp)
            # Faust asks for the end first, and takes it for a fault if all that was there by then has made
            # way for later entries.
            offsets[tp] = min(offset, self._ends_told.pop(tp, offset))
        return offsets

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the end of each partition: its last offset plus one.

        With this the recovery of tables begins: those that know other things than their changelogs are
        emptied first.
        """
        changelogs = self._context.changelogs
        ends = {tp: await self._readable_end_of(tp) for tp in {*partitions, *changelogs.known()}}
        changelogs.rebuild_diverged(ends)
        self._ends_told = {tp: ends[tp] for tp in partitions}
        return dict(self._ends_told)

    async def _end_of(self, tp: TP) -> int:
        command = ("XREVRANGE", stream_key(*tp), "+", "-", "COUNT", 1)
        last = await self.persist(partial(execute, self._context.redis, *command))
        if last:
            return offset_of(last[0][0]) + 1
        try:
            facts = await self.persist(partial(self._context.redis.xinfo_stream, stream_key(*tp)))
        except ResponseError:
            return 1
        # Empty, but not new: all its entries were older than its retention.
        return offset_of(facts["last-generated-id"]) + 1

    async def _readable_end_of(self, tp: TP) -> int:
        """Return the offset after the last entry that can be read: recovery waits for that very entry."""
        before = "+"
        while True:
            command = ("XREVRANGE", stream_key(*tp), before, "-", "COUNT", 1)
            last = await self.persist(partial(execute, self._context.redis, *command))
            if not last:
                return await self._end_of(tp) if before == "+" else 1
            if decode_all(last)[0]:
                return offset_of(last[0][0]) + 1
            before = f"({last[0][0].decode()}"

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Record a topic in Redis, see :meth:`Producer.create_topic`."""
        await self.app.producer.create_topic(topic, partitions, replication, **options)

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic, ``None`` if it is not known yet."""
        facts = self._context.topics.known(topic)
        return facts.partitions if facts else None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition of a key, or the one given; ``None`` if the topic is not known yet."""
        if self._context.topics.known(topic) is None:
            return None
        return partition if partition is not None else self._context.topics.partition_for(topic, key)

    async def persist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat a call that may be run twice until Redis answers.

        Raises:
            redis.exceptions.RedisError: Redis is away, and the consumer stops; or the call itself failed.
        """
        outage = Outage("the consumer waits")
        while True:
            try:
                return await call()
            except Exception as error:
                if not is_unavailable(error) or self.should_stop:
                    raise
                outage.tell(error)
                await asyncio.sleep(RETRY_DELAY)
