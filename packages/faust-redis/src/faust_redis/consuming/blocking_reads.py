"""The blocking reads of one worker, and the wait for the first of them to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Set
from functools import partial
from typing import Any, Literal

from faust.types import TP

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.consuming.read_plans import ReadGroup, Streams
from faust_redis.context import TransportContext
from faust_redis.log.entries import Record

__all__ = ["BlockingReads", "Kind"]

#: Whether a read uses the consumer group or a position.
Kind = Literal["queues", "logs"]
_Read = Callable[[BlockingRead, Streams], Coroutine[Any, Any, dict[TP, list[Record]]]]


class BlockingReads:
    """Blocking reads by kind and node of Redis; each runs in a task of its own."""

    def __init__(self, context: TransportContext) -> None:
        self._server = context.server
        self._keys = context.keys
        self._reads: dict[tuple[Kind, str], BlockingRead] = {}
        self._wakeup: asyncio.Future[None] | None = None

    def start(self, kind: Kind, wanted: Iterable[ReadGroup], run: _Read) -> None:
        """Start these reads, except those that still run or whose records were not taken yet."""
        for group in wanted:
            read = self._reads.get((kind, group.read))
            if read is None:
                read = self._reads[kind, group.read] = BlockingRead(self._server, self._keys)
            if read.task is None:
                read.start(group.tps, partial(run, read, group.streams), self.wake)

    async def wait(self, timeout: float) -> None:
        """Wait until a read has ended, :meth:`wake` is called, or ``timeout`` seconds have passed."""
        if any(task.done() for task in self._tasks()):
            return
        loop = asyncio.get_running_loop()
        self._wakeup = loop.create_future()
        timer = loop.call_later(timeout, self.wake)
        try:
            await self._wakeup
        finally:
            timer.cancel()

    def wake(self) -> None:
        """End the wait."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def take(self, kind: Kind | None = None) -> dict[TP, list[Record]]:
        """Return the records of the reads that have ended, of one kind or of both.

        Raises:
            redis.exceptions.RedisError: A read failed, and no other has brought records. Otherwise the next
                call raises its error.
        """
        records: dict[TP, list[Record]] = {}
        for read in self._of(kind):
            task = read.task
            if task is not None and task.done() and (task.exception() is None or not records):
                read.task = None
                records.update(task.result())
        return records

    async def finish(self, kind: Kind) -> None:
        """End the reads of a kind and wait for them; their records are still to be taken."""
        for read in self._of(kind):
            await read.finish()

    async def finish_covering(self, tps: Set[TP]) -> None:
        """End the running reads that cover any of these partitions, and wait until they are over."""
        await asyncio.gather(*(read.finish_this() for read in self._reads.values() if read.tps & tps))

    def cover(self, kind: Kind, tps: Iterable[TP]) -> None:
        """End the reads that do not cover these partitions, so that the next ones do."""
        too_small: set[BlockingRead] = set()
        for tp in tps:
            read = self._reads.get((kind, self._server.read_of(self._keys.stream(tp))))
            if read is None or read.task is None:
                self.wake()
            elif tp not in read.tps:
                too_small.add(read)
        for read in too_small:
            read.interrupt()

    def interrupt(self, tp: TP) -> None:
        """End the read that covers a partition."""
        for read in self._reads.values():
            if read.task is not None and tp in read.tps:
                read.interrupt()

    async def settle(self) -> None:
        """End all reads, wait for them, and drop their records."""
        await asyncio.gather(*(read.finish() for read in self._reads.values()))
        await asyncio.gather(*self._tasks(), return_exceptions=True)
        for read in self._reads.values():
            read.task = None

    async def close(self) -> None:
        """Cancel the reads and close their connections."""
        for read in self._reads.values():
            await read.close()

    def _of(self, kind: Kind | None) -> list[BlockingRead]:
        return [read for (of_kind, _), read in self._reads.items() if kind in (None, of_kind)]

    def _tasks(self) -> list[asyncio.Task[dict[TP, list[Record]]]]:
        return [read.task for read in self._reads.values() if read.task is not None]
