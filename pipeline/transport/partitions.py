"""Reading partitions: what was left pending first, then what is new.

A partition that acks (a *queue* to its group) is read through the consumer group; entries come first from
``take_over.lua``, page by page until nothing pending is left, then from one blocking ``XREADGROUP`` over all
partitions. A partition whose topic does not ack (changelogs, reply topics) is a *log*: read by position with
``XREAD``, which leaves no trace in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from faust.types import TP
from mode import get_logger
from redis.exceptions import ResponseError

from .connection import BLOCK_MS, connect, execute, is_unavailable
from .keys import attempts_key, lease_key, stream_key
from .link import Link
from .scripts import NOT_OWNER
from .tasks import end
from .wire import Record, decode, offset_of

__all__ = ["PartitionReader", "QueuePartition"]

logger = get_logger(__name__)

#: Entries per partition and read. Enough to keep an agent busy, few enough to share out fairly.
READ_COUNT: Final = 200
#: Seconds between requests to end a blocking read: the first may come before the read has reached Redis.
UNBLOCK_INTERVAL: Final = 0.05
#: Seconds between tries while Redis is away.
RETRY_DELAY: Final = 0.5


@dataclass
class QueuePartition:
    """What the owner of a partition knows about it.

    Attributes:
        claim_cursor: Where the next page of pending entries starts; ``None`` once all were claimed.
        lost: A later generation holds the lease; nothing is read until the group has told us more.
        in_flight: Offsets handed to the streams and not yet acked in Redis.
    """

    claim_cursor: str | None = "0-0"
    lost: bool = False
    in_flight: set[int] = field(default_factory=set)


class PartitionReader:
    """Reads the partitions that this member owns.

    Cancelling :meth:`read` loses nothing: the blocking command runs in a task of its own, and what it
    brings is kept for the next call.
    """

    def __init__(self, link: Link, group: str, member_id: str, *, start: str) -> None:
        self.link = link
        self.group = group
        self.member_id = member_id
        self.start = start
        self.generation = 0
        self.queues: dict[TP, QueuePartition] = {}
        self.logs: dict[TP, int] = {}
        self.ends: dict[TP, int] = {}
        self._blocking = {name: connect(link.address, dedicated=True) for name in ("queue", "log")}
        self._client_ids: dict[str, int] = {}
        self._reads: dict[str, asyncio.Task[dict[TP, list[Record]]]] = {}
        self._reading: dict[str, frozenset[TP]] = {}
        self._interrupts: set[asyncio.Task[None]] = set()

    @property
    def lease(self) -> str:
        """What a lease reads while this member owns it."""
        return f"{self.generation}:{self.member_id}"

    def assign(self, queues: Iterable[TP], logs: Iterable[TP], generation: int) -> None:
        """Take over partitions under a generation; in-flight entries of those kept are not read again."""
        self.generation = generation
        kept = {tp: partition.in_flight for tp, partition in self.queues.items()}
        self.queues = {tp: QueuePartition(in_flight=kept.get(tp, set())) for tp in queues}
        self.logs = {tp: self.logs.get(tp, 0) for tp in logs}

    def rewind(self, tp: TP) -> None:
        """Claim what is pending in a partition once more; entries in flight stay out of it."""
        if tp in self.queues:
            self.queues[tp].claim_cursor = "0-0"

    def put_back(self, tp: TP, record: Record) -> None:
        """Have a record read again that could not be handed on."""
        if tp in self.queues:
            self.queues[tp].in_flight.discard(record.offset)
            self.rewind(tp)
        elif tp in self.logs:
            self.logs[tp] = min(self.logs[tp], record.offset)

    def lease_keys(self, tp: TP) -> list[str]:
        """Return stream, lease and attempts of a partition, as the scripts want them."""
        return [
            stream_key(*tp),
            lease_key(tp.topic, tp.partition, self.group),
            attempts_key(tp.topic, tp.partition, self.group),
        ]

    async def read(self, active: set[TP], timeout: float) -> dict[TP, list[Record]]:
        """Return the next records of these partitions; empty once the time is up.

        Args:
            timeout: Seconds.

        Raises:
            redis.exceptions.RedisError: Redis is away, or something is wrong with a partition.
        """
        claiming = [tp for tp in active if self._is_claimed(tp)]
        if claiming:
            return await self._finish_queue_read() or await self._claim_first(claiming)
        self._start_read("queue", frozenset(tp for tp in active if self._is_read(tp)))
        self._start_read("log", frozenset(tp for tp in active if tp in self.logs))
        if not self._reads:
            await asyncio.sleep(timeout)
            return {}
        await asyncio.wait(self._reads.values(), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        records: dict[TP, list[Record]] = {}
        for kind in [kind for kind, task in self._reads.items() if task.done()]:
            task = self._reads[kind]
            if task.exception() is None or not records:
                del self._reads[kind]
                records.update(task.result())
        return records

    async def _finish_queue_read(self) -> dict[TP, list[Record]]:
        """End a blocking read that is under way and return what it brought.

        What it brought for partitions that are about to be claimed is left out: claiming brings it again.
        """
        read = self._reads.get("queue")
        if read is None:
            return {}
        while not read.done():
            await self._unblock(self._client_ids.get("queue"))
            await asyncio.wait([read], timeout=UNBLOCK_INTERVAL)
        del self._reads["queue"]
        return {tp: records for tp, records in read.result().items() if self._is_read(tp)}

    async def _claim_first(self, tps: list[TP]) -> dict[TP, list[Record]]:
        """Claim a page of the first of these partitions that has any pending entries."""
        for tp in tps:
            records = await self._claim(tp, self.queues[tp])
            if records:
                return {tp: records}
        return {}

    def interrupt(self, active: set[TP]) -> None:
        """End a blocking read that does not cover these partitions, so that the next one does."""
        for kind, owned in (("queue", self.queues), ("log", self.logs)):
            client_id = self._client_ids.get(kind)
            if kind in self._reads and client_id and not (active & owned.keys()) <= self._reading[kind]:
                task = asyncio.ensure_future(self._unblock(client_id))
                self._interrupts.add(task)
                task.add_done_callback(self._interrupts.discard)

    async def settle(self) -> None:
        """End the blocking reads and wait for them; what they still brought stays pending for the next owner.

        Must come before partitions are given up: a read that the server still holds would take entries
        of a partition that has another owner by then.
        """
        while reads := [task for task in self._reads.values() if not task.done()]:
            for kind in list(self._reads):
                await self._unblock(self._client_ids.get(kind))
            await asyncio.wait(reads, timeout=UNBLOCK_INTERVAL)
        await asyncio.gather(*self._reads.values(), return_exceptions=True)
        self._reads.clear()

    async def close(self) -> None:
        """Give up the connections."""
        await end((*self._reads.values(), *self._interrupts))
        self._reads.clear()
        for client in self._blocking.values():
            await client.aclose()

    def _is_read(self, tp: TP) -> bool:
        partition = self.queues.get(tp)
        return partition is not None and partition.claim_cursor is None and not partition.lost

    def _is_claimed(self, tp: TP) -> bool:
        partition = self.queues.get(tp)
        return partition is not None and partition.claim_cursor is not None and not partition.lost

    async def _claim(self, tp: TP, partition: QueuePartition) -> list[Record]:
        """Claim a page of pending entries, leaving out those in flight here."""
        answer = await self.link.scripts.call(
            "take_over",
            self.lease_keys(tp),
            self.group,
            self.member_id,
            self.generation,
            partition.claim_cursor or "0-0",
            READ_COUNT,
            self.start,
        )
        if answer[0] == NOT_OWNER:
            logger.warning("%s-%s belongs to a later generation, leaving it alone", *tp)
            partition.lost = True
            return []
        cursor, entries, deleted, attempts, made = answer
        if made:
            partition.in_flight.clear()
        if deleted:
            logger.error(
                "%s-%s: %d pending entries were trimmed or deleted, they are lost", *tp, len(deleted)
            )
        partition.claim_cursor = None if cursor == b"0-0" else cursor.decode()
        records = []
        for (entry_id, fields), failed in zip(entries, attempts, strict=True):
            if offset_of(entry_id) not in partition.in_flight:
                records.append(decode(entry_id, fields)._replace(attempts=failed))
        if records:
            self._advance(tp, records)
        return records

    def _start_read(self, kind: str, tps: frozenset[TP]) -> None:
        if kind not in self._reads and tps:
            self._reading[kind] = tps
            read = self._read_queues if kind == "queue" else self._read_logs
            self._reads[kind] = asyncio.ensure_future(read(sorted(tps)))

    async def _read_queues(self, tps: list[TP]) -> dict[TP, list[Record]]:
        streams = {stream_key(*tp).encode(): tp for tp in tps}
        lost = True
        try:
            group = ("GROUP", self.group, self.member_id)
            limits = ("COUNT", READ_COUNT, "BLOCK", BLOCK_MS)
            reply = await self._block(
                "queue", "XREADGROUP", *group, *limits, "STREAMS", *streams, *(">" for _ in streams)
            )
            lost = False
        except ResponseError as error:
            if is_unavailable(error):
                raise
            # NOGROUP: Redis lost the group or the stream (restart without data, FLUSHALL, DEL).
            # UNBLOCKED: the same, noticed while the read was waiting.
            logger.error("group %s is gone in Redis (%s), making it again", self.group, error)
            await asyncio.sleep(RETRY_DELAY)
            reply = None
        finally:
            # The reply may have been lost on its way: what it held is pending here, and claimed again.
            if lost:
                for tp in tps:
                    self.rewind(tp)
        records = {}
        for stream, entries in reply or ():
            tp = streams[stream]
            records[tp] = [decode(entry_id, fields) for entry_id, fields in entries if fields]
            self._advance(tp, records[tp])
        return records

    async def _read_logs(self, tps: list[TP]) -> dict[TP, list[Record]]:
        streams = {stream_key(*tp).encode(): tp for tp in tps}
        after = [f"0-{max(self.logs[tp] - 1, 0)}" for tp in tps]
        reply = await self._block(
            "log", "XREAD", "COUNT", READ_COUNT, "BLOCK", BLOCK_MS, "STREAMS", *streams, *after
        )
        records = {}
        for stream, entries in reply or ():
            tp = streams[stream]
            records[tp] = [decode(entry_id, fields) for entry_id, fields in entries]
            self._advance(tp, records[tp])
            self.logs[tp] = records[tp][-1].offset + 1
        return records

    async def _block(self, kind: str, *command: str | bytes | int) -> Any:
        client = self._blocking[kind]
        try:
            if kind not in self._client_ids:
                self._client_ids[kind] = int(await client.client_id())
            return await execute(client, *command)
        except BaseException as error:
            self._client_ids.pop(kind, None)
            if not isinstance(error, ResponseError):
                await client.connection_pool.disconnect()
                if client.connection is not None:
                    await client.connection.disconnect()
            raise

    async def _unblock(self, client_id: int | None) -> None:
        if client_id is None:
            return
        try:
            await self.link.redis.client_unblock(client_id)
        except Exception as error:
            if not is_unavailable(error):
                raise

    def _advance(self, tp: TP, records: list[Record]) -> None:
        if records:
            self.ends[tp] = max(self.ends.get(tp, 0), records[-1].offset + 1)
