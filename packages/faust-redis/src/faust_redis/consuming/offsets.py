"""Answer Faust's calls about offsets and topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol, TypeVar

from faust.types import TP
from mode import get_logger
from redis.exceptions import ResponseError

from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.errors import SeekError
from faust_redis.log.entries import decode_all, offset_of
from faust_redis.redis.commands import execute
from faust_redis.redis.scripts import NOT_OWNER, SEEK

__all__ = ["Offsets", "Persist"]

logger = get_logger(__name__)
_T = TypeVar("_T")


class Persist(Protocol):
    """Repeats a call that may run twice until Redis answers."""

    def __call__(self, call: Callable[[], Awaitable[_T]]) -> Awaitable[_T]:
        """Return the result of the call, which raises when the consumer stops first."""


class Offsets:
    """Looks offsets up, and moves positions."""

    def __init__(self, context: TransportContext, reader: PartitionReader, persist: Persist) -> None:
        self._context = context
        self._reader = reader
        self._persist = persist
        self._reported_ends: dict[TP, int] = {}

    def rewind_all(self) -> None:
        """Go back to the entries that are not acked: every owned partition is claimed again."""
        for tp in self._reader.queues:
            self._reader.rewind(tp)

    def seek_log(self, tp: TP, offset: int) -> None:
        """Set the position of a log; a partition read by the group keeps its own."""
        if tp in self._reader.logs:
            self._reader.logs[tp] = offset

    async def seek(self, tp: TP, offset: int) -> None:
        """Set the offset that is read next; entries before it that are pending still come.

        Raises:
            SeekError: The partition is not owned here, or its topic does not keep its entries.
        """
        if tp in self._reader.logs:
            self._reader.logs[tp] = offset
            return
        if tp not in self._reader.queues:
            raise SeekError(*tp, "it is not assigned to this worker")
        if (await self._persist(partial(self._context.topics.facts, tp.topic))).is_queue:
            reason = "its topic keeps no entry that is acked; declare it with a retention or compacting"
            raise SeekError(*tp, reason)
        reader = self._reader
        keys = reader.lease_keys(tp)[:2]
        seek = partial(
            self._context.scripts.call,
            SEEK,
            keys,
            group=reader.group,
            lease=reader.lease_of(tp),
            before_id=f"0-{max(offset - 1, 0)}",
        )
        if await self._persist(seek) == NOT_OWNER:
            raise SeekError(*tp, "another worker owns it by now")
        if tp in reader.queues:
            reader.queues[tp].end = 0  # of entries acked before, which may come again
        reader.restart(tp)

    def position(self, tp: TP) -> int | None:
        """Return the offset that is read next."""
        if tp in self._reader.logs:
            return self._reader.logs[tp]
        return self._reader.ends.get(tp)

    def highwater(self, tp: TP) -> int:
        """Return the end of a partition, as far as it has been read."""
        return self._reader.ends.get(tp, 0)

    async def earliest(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the first offset that each partition still holds."""
        offsets = {}
        for tp in tps:
            command = ("XRANGE", self._context.keys.stream(tp), "-", "+", "COUNT", 1)
            first = await self._persist(partial(execute, self._context.redis, *command))
            offset = offset_of(first[0][0]) if first else await self.end_of(tp)
            # Faust asks for the end first, and reports a fault if every entry from before that end has been
            # removed in favour of later ones.
            offsets[tp] = min(offset, self._reported_ends.pop(tp, offset))
        return offsets

    async def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the end of each partition: its last offset plus one.

        The recovery of tables begins with this call, so tables that differ from their changelogs are
        cleared first.
        """
        changelogs = self._context.changelogs
        wanted = list(tps)
        ends = {tp: await self._readable_end_of(tp) for tp in {*wanted, *changelogs.known()}}
        changelogs.rebuild_diverged(ends)
        self._reported_ends = {tp: ends[tp] for tp in wanted}
        return dict(self._reported_ends)

    async def end_of(self, tp: TP) -> int:
        """Return the end of a partition: its last offset plus one."""
        command = ("XREVRANGE", self._context.keys.stream(tp), "+", "-", "COUNT", 1)
        last = await self._persist(partial(execute, self._context.redis, *command))
        if last:
            return offset_of(last[0][0]) + 1
        try:
            facts = await self._persist(
                partial(self._context.redis.xinfo_stream, self._context.keys.stream(tp))
            )
        except ResponseError:
            return 1
        # Empty, but not new: all its entries were older than its retention.
        return offset_of(facts["last-generated-id"]) + 1

    async def _readable_end_of(self, tp: TP) -> int:
        """Return the offset after the last readable entry, because recovery waits for exactly that entry."""
        before = "+"
        while True:
            command = ("XREVRANGE", self._context.keys.stream(tp), before, "-", "COUNT", 1)
            last = await self._persist(partial(execute, self._context.redis, *command))
            if not last:
                return await self.end_of(tp) if before == "+" else 1
            if decode_all(last)[0]:
                return offset_of(last[0][0]) + 1
            before = f"({last[0][0].decode()}"

    async def restart_shortened_logs(self) -> None:
        """Read logs from their beginning that are shorter than the position they were read to."""
        for tp in list(self._reader.logs):
            read = self._reader.logs.get(tp, 0)  # before the end is asked for, as reading goes on meanwhile
            end = await self.end_of(tp)
            if read > end:
                facts = self._context.topics.known(tp.topic)
                if end > 1 or facts is None or not facts.retention:  # else it has expired
                    logger.error("%s-%s starts over in Redis, its earlier entries are lost", *tp)
                self._reader.logs[tp] = 0

    def partitions_of(self, topic: str) -> int | None:
        """Return the number of partitions of a topic, ``None`` if it is not known yet."""
        facts = self._context.topics.known(topic)
        return facts.partitions if facts else None

    def partition_of(self, topic: str, key: bytes | None) -> int | None:
        """Return the partition of a key, ``None`` if the topic is not known yet."""
        if self._context.topics.known(topic) is None:
            return None
        return self._context.topics.partition_for(topic, key)
