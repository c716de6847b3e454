"""Blocking reads, one at a time on a separate connection, which can be interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from faust.types import TP
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from faust_redis.log.entries import Record
from faust_redis.log.keys import Keys
from faust_redis.redis.commands import is_unavailable
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.servers import Server
from faust_redis.tasks import cancel_and_wait

__all__ = ["BlockingRead"]

_T = TypeVar("_T")

#: Seconds between requests to end a blocking read: the first may come before the read has reached Redis.
UNBLOCK_INTERVAL: Final = 0.05
#: Seconds per stream between a read that brought entries and the next one. For each stream of a read Redis
#: takes 0.3 µs, and another 0.7 µs if no stream has entries. With a rest, reads of many streams bring more
#: entries under load, and take at most a few percent of a core.
REST_PER_STREAM: Final = 32e-6
#: Seconds below which a rest is left out, because a timer is not that exact.
SHORTEST_REST: Final = 0.0005


class BlockingRead:
    """One read after the other for partitions that one command can read.

    Attributes:
        tps: The partitions that the read covers.
        task: The running read, or a finished one whose result was not fetched yet.
    """

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._connection: StreamConnection | None = None
        self._client_id: int | None = None
        self._unblocking: set[asyncio.Task[None]] = set()
        self._rested_at = 0.0
        self._resting: asyncio.Future[bool] | None = None
        self.tps: frozenset[TP] = frozenset()
        self.task: asyncio.Task[dict[TP, list[Record]]] | None = None

    def start(
        self,
        tps: frozenset[TP],
        read: Callable[[], Coroutine[Any, Any, dict[TP, list[Record]]]],
        over: Callable[[], None],
    ) -> None:
        """Begin a read, which sends its command through :meth:`block`; ``over`` is called as it ends.

        It is not a callback of the task, which would run an iteration of the event loop later.
        """
        self.tps = tps
        self.task = asyncio.ensure_future(_to_its_end(read, over))

    def brought(self, streams: int) -> None:
        """Have the next read rest first, because this one, of so many streams, has brought entries."""
        self._rested_at = asyncio.get_running_loop().time() + streams * REST_PER_STREAM

    async def rest(self) -> bool:
        """Wait as long as the last read requires; return false if this read is to end at once instead."""
        loop = asyncio.get_running_loop()
        if self._rested_at - loop.time() < SHORTEST_REST:
            return True
        self._resting = resting = loop.create_future()
        timer = loop.call_at(self._rested_at, _resolve, resting, True)
        try:
            is_over: bool = await resting
        finally:
            timer.cancel()
            self._resting = None
        return is_over

    async def block(self, *command: str | bytes | int) -> Any:
        """Send a blocking command for ``tps``; a connection that fails is given up.

        Cancelling it also closes the connection, because its late reply would be taken for the next one.
        """
        try:
            if self._connection is not None and self._connection.is_lost:
                # The server may have other data now, so that partitions are claimed before they are read.
                raise RedisConnectionError("the connection was lost between two reads")
            if self._connection is None:
                self._connection = await self._server.blocking(self._key)
            if self._client_id is None:
                self._client_id = int(await self._connection.execute("CLIENT", "ID"))
            return await self._connection.execute(*command)
        except BaseException as error:
            if not isinstance(error, ResponseError) or is_unavailable(error):
                await self._disconnect()
            if isinstance(error, Exception) and is_unavailable(error):
                await self._server.refresh_topology()
            raise

    def interrupt(self) -> None:
        """Make the running read end soon."""
        task = asyncio.ensure_future(self.unblock())
        self._unblocking.add(task)
        task.add_done_callback(self._unblocking.discard)

    async def unblock(self) -> None:
        """Make Redis end the read. Does nothing if no read is blocked, or Redis is unavailable."""
        if self._resting is not None:
            _resolve(self._resting, False)
            return
        if self._client_id is None:
            return
        try:
            await self._server.unblock(self._key, self._client_id)
        except Exception as error:
            if not is_unavailable(error):
                raise

    async def finish(self) -> None:
        """End the read and wait until it is over; its records are still to be fetched."""
        # Another task may fetch them while this one waits.
        while (task := self.task) is not None and not task.done():
            await self.unblock()
            await asyncio.wait([task], timeout=UNBLOCK_INTERVAL)

    async def finish_this(self) -> None:
        """End the read that runs now, though another may follow, and wait until it is over."""
        task = self.task
        while task is not None and not task.done():
            await self.unblock()
            await asyncio.wait([task], timeout=UNBLOCK_INTERVAL)

    async def close(self) -> None:
        """Cancel the read and close the connection."""
        task, self.task = self.task, None
        await cancel_and_wait((*self._unblocking, *((task,) if task is not None else ())))
        await self._disconnect()

    @property
    def _key(self) -> str:
        return self._keys.stream(min(self.tps))

    async def _disconnect(self) -> None:
        connection, self._connection, self._client_id = self._connection, None, None
        if connection is not None:
            await connection.close()


def _resolve(future: asyncio.Future[bool], result: bool) -> None:
    if not future.done():
        future.set_result(result)


async def _to_its_end(read: Callable[[], Coroutine[Any, Any, _T]], over: Callable[[], None]) -> _T:
    try:
        return await read()
    finally:
        over()
