"""Read partitions: first their pending entries, then new ones.

A partition with acks (a *queue*) is read through the consumer group: first with ``take_over.lua``, page by
page until no pending entry is left, then with one blocking ``XREADGROUP`` over all partitions. A partition
without acks (changelogs, reply topics) is a *log*: it is read by position with ``XREAD``, which leaves no
trace in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Final

from faust.types import TP
from mode import get_logger
from redis.exceptions import ResponseError

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.consuming.blocking_reads import BlockingReads
from faust_redis.consuming.claims import (
    FIRST_PAGE,
    Claim,
    ClaimedPage,
    claim_page,
    fetch,
    last_delivered,
    make_groups,
)
from faust_redis.consuming.owned_partitions import OwnedPartitions
from faust_redis.consuming.queue_partition import ANY_LEASE, QueuePartition
from faust_redis.consuming.read_plans import ReadPlan, Streams, read_groups
from faust_redis.consuming.reply_size import ReplySize
from faust_redis.context import TransportContext
from faust_redis.errors import UnreadableEntryError
from faust_redis.log.entries import Entry, Record, decode_all, offset_of
from faust_redis.redis.commands import is_unavailable
from faust_redis.redis.scripts import HELD

__all__ = ["PartitionReader"]

logger = get_logger(__name__)

#: Seconds between attempts while Redis is unavailable.
RETRY_DELAY: Final = 0.5
#: Seconds between attempts to claim a partition that Redis refuses; each attempt interrupts the other reads.
REFUSED_DELAY: Final = 2.0
#: Milliseconds that a read of logs waits. It takes nothing from other members, so that only the silence after
#: which a connection counts as dead limits it.
LOG_BLOCK_MS: Final = 5_000


class PartitionReader(OwnedPartitions):
    """Read the partitions that this member owns.

    Cancelling ``read`` loses nothing: the blocking command runs in its own task, and the next call returns
    its entries.

    Attributes:
        on_unreadable: called with each unreadable entry of a queue, which stays pending.
        on_undelivered: called with a partition and its last delivered offset after Redis has lost later ones.
        sift: called with claimed entries, and whether it is known which one killed their last owner; returns
            those to deliver together.
        on_held: called with a partition that another live member has not released.
        on_claimed: called with a partition of an earlier owner, once its pending entries are claimed.

    Args:
        crash_markers: the folder of the workers' crash markers, if they have any.
        start: the position of a new consumer group: ``0`` or ``$``.
        read_count: maximum entries per partition and read.
        room: entries for which there is space. A read of all partitions brings at most as many, but at least
            one of each, and of many partitions up to twice as many.
    """

    def __init__(
        self,
        context: TransportContext,
        group: str,
        member_id: str,
        *,
        crash_markers: Path | None = None,
        start: str,
        read_count: int | None = None,
        room: int,
    ) -> None:
        super().__init__(context, group, member_id)
        self.crash_markers = crash_markers
        self.start = start
        self.read_count = min(read_count or context.options.read_count, context.options.read_count)
        self._block_ms = context.options.block_ms
        self.room = room
        self.on_unreadable: Callable[[TP, UnreadableEntryError], None] = lambda _tp, _error: None
        self.on_undelivered: Callable[[TP, int], None] = lambda _tp, _last: None
        self.on_held: Callable[[TP], None] = lambda _tp: None
        self.on_claimed: Callable[[TP], None] = lambda _tp: None
        self.sift: Callable[[TP, list[Claim], bool], list[Claim]] = lambda _tp, claims, _is_explained: claims
        self._reads = BlockingReads(context)
        self._reply_size = ReplySize(self.read_count)
        self._claiming = asyncio.Lock()

    def take(self, tp: TP, replacing: str) -> None:
        """Claim a partition that was held; ``replacing`` is the lease that it may replace."""
        if tp in self.queues:
            self.queues[tp].held = False
            self.queues[tp].replacing = replacing
            self._plan = None
            self._reads.wake()

    async def stop_reading(self, tps: set[TP]) -> None:
        """Wait until no claim or blocking read of these partitions, which leave, is under way."""
        async with self._claiming:
            pass
        await self._reads.finish_covering(tps)

    async def make_groups(self, tps: Iterable[TP]) -> None:
        """Make the consumer groups of these queues, so that they hold whatever is sent from now on.

        The first claim would be too late: with ``latest`` a group starts at the end of its partition, and
        until there is a group, others may trim what they have acked.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        for tp in await make_groups(self, tps):
            if (partition := self.queues.get(tp)) is not None:
                self._begin_group(tp, partition)
                partition.known = partition.is_new = True

    def put_back(self, tp: TP, record: Record) -> None:
        """Read a record again that could not be delivered."""
        if tp in self.queues:
            self.queues[tp].in_flight.pop(record.offset, None)
            self.rewind(tp)
        elif tp in self.logs:
            self.logs[tp] = min(self.logs[tp], record.offset)

    async def read(self, active: set[TP], timeout: float) -> dict[TP, list[Record]]:
        """Return the next records of these partitions; empty after the time-out.

        Args:
            timeout: seconds to wait.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable, or a log can't be read.
        """
        self._claimed.clear()  # those of the last call are in flight by now
        plan = self._planned(active)
        if plan.claiming:
            return await self._finish_queue_reads() or await self._claim_first(plan.claiming)
        self._reads.start("queues", plan.queues, self._read_queues)
        self._reads.start("logs", plan.logs, self._read_logs)
        await self._reads.wait(timeout)
        return self._reads.take()

    def _planned(self, active: set[TP]) -> ReadPlan:
        """Return the plan of reads, cached because partitions may be many."""
        if self._plan is not None and self._plan.active == active:
            return self._plan
        claiming = [tp for tp in active if self._is_claimed(tp)]
        if claiming:
            return ReadPlan(active, claiming, [], [])
        queues = (tp for tp in active if self._is_read(tp))
        logs = (tp for tp in active if tp in self.logs)
        stream_of, read_of = self.context.keys.stream, self.context.server.read_of
        plan = ReadPlan(
            active, [], read_groups(queues, stream_of, read_of), read_groups(logs, stream_of, read_of)
        )
        # A partition that Redis refused to claim is retried later.
        owned = [self.queues[tp] for tp in active if tp in self.queues]
        if all(partition.claim_cursor is None or partition.lost for partition in owned):
            self._plan = plan
        return plan

    async def _finish_queue_reads(self) -> dict[TP, list[Record]]:
        """End the running blocking reads and return their records.

        Records of partitions that are about to be claimed are left out, because claiming returns them again.
        """
        await self._reads.finish("queues")
        records = self._reads.take("queues")
        return {tp: found for tp, found in records.items() if self._is_read(tp)}

    async def _claim_first(self, tps: list[TP]) -> dict[TP, list[Record]]:
        """Claim a page of the first of these partitions that has any pending entries."""
        for tp in tps:
            try:
                async with self._claiming:
                    records = await self._claim(tp, self.queues[tp]) if self._is_claimed(tp) else []
            except ResponseError as error:
                if is_unavailable(error):
                    raise
                logger.error("%s-%s can't be read, trying again: %s", *tp, error)
                if tp in self.queues:
                    self.queues[tp].refused_until = monotonic() + REFUSED_DELAY
                continue
            if records:
                return {tp: records}
        return {}

    def interrupt(self, active: set[TP]) -> None:
        """End blocking reads that do not cover these partitions, so that the next ones do."""
        self._reads.cover("queues", active & self.queues.keys())
        self._reads.cover("logs", active & self.logs.keys())

    def wake(self) -> None:
        """End the wait of :meth:`read`, because other partitions may be read now."""
        self._reads.wake()

    def restart(self, tp: TP) -> None:
        """End the blocking read of a partition whose position has moved; the next one begins there."""
        self._reads.interrupt(tp)

    async def settle(self) -> None:
        """End the blocking reads and wait for them; records they still bring stay pending for the next owner.

        Call this before giving up partitions, because a read that still blocks in the server would take
        entries of a partition that then has another owner.
        """
        async with self._claiming:
            pass
        await self._reads.settle()

    async def close(self) -> None:
        """Close the connections."""
        await self._reads.close()

    def is_claiming(self, tps: Iterable[TP]) -> bool:
        """Return whether pending entries of any of these partitions are still to be claimed."""
        return any(map(self._is_claimed, tps))

    def _is_read(self, tp: TP) -> bool:
        partition = self.queues.get(tp)
        return partition is not None and partition.is_read

    def _is_claimed(self, tp: TP) -> bool:
        partition = self.queues.get(tp)
        return partition is not None and partition.is_claimed

    async def _claim(self, tp: TP, partition: QueuePartition) -> list[Record]:
        """Claim a page of pending entries, leaving out those in flight here."""
        if partition.in_flight:
            await self._drop_undelivered(tp, partition)
        # Entries acked on another connection while this page is under way may still be on it.
        handed_on = set(partition.in_flight)
        page = await self._claim_page(tp, partition)
        if page is None:
            return []
        taken = handed_on | partition.in_flight.keys()
        partition.is_explained |= page.is_explained
        untaken = [claim for claim in page.claims if claim.offset not in taken]
        claims = self.sift(tp, untaken, partition.is_explained)
        entries, done = await fetch(self.context, tp, claims)
        if self.queues.get(tp) is not partition or partition.leaving:
            return []
        partition.died = page.died
        if not partition.rewound:
            partition.claim_cursor = page.cursor if done == len(claims) else f"({claims[done - 1].entry_id}"
        attempts = {claim.offset: claim.attempts for claim in claims}
        records = [record._replace(attempts=attempts[record.offset]) for record in self.decode(tp, entries)]
        self._advance(tp, records)
        if records:
            self._claimed[tp] = records[0].offset
        if partition.claim_cursor is None and not partition.is_new:
            self.on_claimed(tp)
        return records

    async def _claim_page(self, tp: TP, partition: QueuePartition) -> ClaimedPage | None:
        """Return the next page of pending entries, ``None`` if the partition is not this member's."""
        partition.rewound = False
        page = await claim_page(
            self,
            tp,
            partition.claim_cursor or FIRST_PAGE,
            generation=partition.generation,
            replacing=partition.replacing,
            died=partition.died,
        )
        if self.queues.get(tp) is not partition or partition.leaving:
            return None  # reassigned in the meantime
        if page == HELD:
            self.on_held(tp)
            return None
        if isinstance(page, int):
            logger.warning("%s-%s belongs to a later generation, leaving it alone", *tp)
            partition.lost = True
            return None
        partition.replacing = ANY_LEASE
        if page.made:
            self._begin_group(tp, partition)
            partition.is_new = True
        partition.known = True
        if page.gone:
            logger.error("%s-%s: %d pending entries were trimmed or deleted, they are lost", *tp, page.gone)
        return page

    async def _drop_undelivered(self, tp: TP, partition: QueuePartition) -> None:
        """Drop events in flight that Redis has no record of delivering, because its data is older.

        Their offsets are assigned again, so an ack would be that of another entry.
        """
        last = await last_delivered(self.context, tp, self.group)
        dropped = [offset for offset in partition.in_flight if last is not None and offset > last]
        if not dropped or last is None:
            return
        for offset in dropped:
            del partition.in_flight[offset]
        self.on_undelivered(tp, last)
        logger.error(
            "%s-%s: Redis has no record of the delivery of %d events, up to offset %d: its data is older, "
            "after a failover or a restore; they are not acked, and come again if Redis has them",
            *tp,
            len(dropped),
            max(dropped),
        )

    def _begin_group(self, tp: TP, partition: QueuePartition) -> None:
        partition.forfeit()
        if partition.known:
            logger.error("%s-%s: group %s is gone in Redis, its pending entries are lost", *tp, self.group)

    async def _read_queues(self, read: BlockingRead, streams: Streams) -> dict[TP, list[Record]]:
        if not await read.rest():
            return {}
        lost = True
        try:
            group = ("GROUP", self.group, self.member_id)
            count = self._reply_size.count(len(streams), self.room * len(streams) // len(self.queues))
            limits = ("COUNT", count, "BLOCK", self._block_ms)
            reply = await read.block(
                "XREADGROUP", *group, *limits, "STREAMS", *streams, *(">" for _ in streams)
            )
            lost = False
        except ResponseError as error:
            if is_unavailable(error):
                raise
            # NOGROUP: Redis lost the group or the stream (restart without data, FLUSHALL, DEL). The next
            # claim creates the group again and logs it.
            logger.warning("reading: %s", error)
            await asyncio.sleep(RETRY_DELAY)
            reply = None
        finally:
            # The reply may have been lost; its entries are pending for this member, and are claimed again.
            if lost:
                for tp in streams.values():
                    self.rewind(tp)
        if reply:
            read.brought(len(streams))
        records = {}
        for stream, entries in reply or ():
            tp = streams[stream]
            self._reply_size.observe(entries[-1])
            records[tp] = self.decode(tp, [entry for entry in entries if entry[1]])
            self._advance(tp, records[tp])
        return records

    def decode(self, tp: TP, entries: Iterable[Entry]) -> list[Record]:
        """Return the records of a queue's entries; those that can't be read go to ``on_unreadable``."""
        records, unreadable = decode_all(entries)
        for error in unreadable:
            self.on_unreadable(tp, error)
        return records

    async def _read_logs(self, read: BlockingRead, streams: Streams) -> dict[TP, list[Record]]:
        after = [f"0-{max(self.logs.get(tp, 0) - 1, 0)}" for tp in streams.values()]
        reply = await read.block(
            "XREAD",
            "COUNT",
            self._reply_size.count(len(streams)),
            "BLOCK",
            LOG_BLOCK_MS,
            "STREAMS",
            *streams,
            *after,
        )
        records = {}
        for stream, entries in reply or ():
            tp = streams[stream]
            if tp not in self.logs:
                continue  # it was given up in the meantime
            self._reply_size.observe(entries[-1])
            records[tp], unreadable = decode_all(entries)
            for error in unreadable:
                logger.error("%s-%s: %s; it is skipped", *tp, error)
            self.logs[tp] = offset_of(entries[-1][0]) + 1
            self.ends[tp] = max(self.ends.get(tp, 0), self.logs[tp])
        return records

    def _advance(self, tp: TP, records: list[Record]) -> None:
        if records:
            self.ends[tp] = max(self.ends.get(tp, 0), records[-1].offset + 1)
