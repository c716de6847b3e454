"""Sockets that only stay open, and the memory that they cost the web processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp

from parley.loadtest.lifting import HOW
from parley.loadtest.plan import PROTOCOL

# Sockets that are opened at the same time: more would only wait in the server's backlog.
_OPENING = 64
# A process that has just opened its last socket still works on it; its memory counts when two samples this
# many seconds apart are equal, or after this number of samples.
_LOOK_SECONDS = 0.25
_LOOKS = 20

Memory = Callable[[], int]
"""Returns the bytes that the web processes hold."""


@dataclass
class Idle:
    """The figures of the idle sockets.

    Attributes:
        asked, opened: the number of sockets requested, and opened.
        kept: the number of these that are open now, or were at the end.
        why: the reason why the first could not be opened.
        before, held: bytes of the web processes before the first was opened, and while all were open; None
            when they are not ours to see.
    """

    asked: int = 0
    opened: int = 0
    kept: int = 0
    why: str = ""
    before: int | None = None
    held: int | None = None

    @property
    def kb_each(self) -> float | None:
        """Memory that each open socket takes, in KB (1,024 bytes); None when it was not measured."""
        if self.before is None or self.held is None or not self.opened:
            return None
        return (self.held - self.before) / self.opened / 1024


class IdleSockets:
    """Hold idle sockets, each with its own session, open from ``open`` until the context ends."""

    def __init__(self, base: str) -> None:
        """Take the base URL of the service."""
        self.figures: Final = Idle()
        self._http = aiohttp.ClientSession(
            base,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=30),
        )
        self._holding: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop all connections at once, without closing handshakes."""
        for task in self._holding:
            task.cancel()
        await asyncio.gather(*self._holding, return_exceptions=True)
        await self._http.close()

    async def open(self, count: int, stop: asyncio.Event, memory: Memory | None = None) -> None:
        """Open sockets; one that cannot be opened is counted, and does not end the test.

        Args:
            stop: when it is set, no more are opened.
            memory: is read before the first and while all are open.
        """
        if not count:
            return
        figures = self.figures
        figures.asked += count
        if memory is not None:
            await self._warm_up()
            figures.before = await _settled(memory)
        places = asyncio.Semaphore(_OPENING)
        await asyncio.gather(*(self._open(places, stop) for _ in range(count)))
        if memory is not None:
            figures.held = await _settled(memory)

    async def _warm_up(self) -> None:
        """Open and close a socket, so that one-time allocations of the service are not counted."""
        try:
            await (await self._connect()).close()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return  # the counted sockets will report the reason

    async def _open(self, places: asyncio.Semaphore, stop: asyncio.Event) -> None:
        figures = self.figures
        async with places:
            if stop.is_set():
                figures.asked -= 1
                return
            try:
                socket = await self._connect()
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                figures.why = figures.why or _reason(exc)
                return
        figures.opened += 1
        figures.kept += 1
        self._holding.append(asyncio.create_task(self._hold(socket)))

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        async with self._http.post("token", params={"name": "idle"}) as response:
            response.raise_for_status()
            token = (await response.json())["token"]
        return await self._http.ws_connect("chat", params={"token": token}, protocols=(PROTOCOL,))

    async def _hold(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            # Reading answers the pings of the service, which would otherwise close the socket as dead.
            async for _ in socket:
                pass
            self.figures.kept -= 1
        finally:
            # Without closing handshakes, because thousands of them would take long.
            socket._response.close()


def _reason(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientResponseError) and exc.status == HTTPStatus.TOO_MANY_REQUESTS:
        return f"the service limits what one address may do; {HOW}"
    return str(exc) or type(exc).__name__


async def _settled(memory: Memory) -> int:
    before = memory()
    for _ in range(_LOOKS):
        await asyncio.sleep(_LOOK_SECONDS)
        now = memory()
        if now == before:
            break
        before = now
    return before
