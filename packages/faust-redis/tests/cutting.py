"""A relay before Redis that cuts connections: after Redis has executed a call, before the reply arrives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import TracebackType
from typing import Self

from faust_redis.testing import HOST


class CuttingRelay:
    """A TCP relay on a free port of the loopback.

    Attributes:
        port: Where it listens.
        cuts: How many replies it has dropped so far, each with its connection.
        should_cut: Called with each piece of a reply; returns whether it is dropped.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.cuts = 0
        self.should_cut: Callable[[bytes], bool] = lambda _piece: False
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address of the Redis behind it."""
        return f"redis://{HOST}:{self.port}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, to_there = await asyncio.open_connection(HOST, self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, to_there))
                group.create_task(self._answer(there, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass  # cut, or the relay ends
        finally:
            to_there.close()
            writer.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, to_there: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            to_there.write(data)
            await to_there.drain()
        raise ConnectionResetError

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65_536):
            if self.should_cut(data):
                self.cuts += 1
                # A part of the replies may have arrived.
                writer.write(data[: random.randrange(len(data))])
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
