"""A lightweight client of the plain protocol: many sockets in a closed loop, or a few turns per second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp

__all__ = ["Talk", "Times"]

#: Seconds after which an answer counts as lost.
TIMEOUT = 60.0


@dataclass
class Times:
    """The times of turns.

    Attributes:
        seconds: the length of the measurement.
        latencies: the latency of each turn in ms.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Turns per second."""
        return len(self.latencies) / self.seconds

    def latency(self, share: float) -> float:
        """Return the latency in ms that a share of the turns, from 0 to 1, does not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Talk:
    """Sockets to one service, each with a session of its own; an async context manager."""

    def __init__(self, url: str, sockets: int) -> None:
        self._url = url
        self._count = sockets
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def __aenter__(self) -> Talk:
        self._http = aiohttp.ClientSession(self._url, connector=aiohttp.TCPConnector(limit=0))
        for number in range(self._count):
            async with self._http.post("/token", params={"name": f"bench {number}"}) as response:
                token = (await response.json())["token"]
            self._sockets.append(await self._http.ws_connect("/chat", params={"token": token}))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for socket in self._sockets:
            await socket.close()
        await self._http.close()

    async def closed_loop(self, messages: int) -> Times:
        """Send ``messages`` on every socket, each after the answer to the one before it."""
        times = Times()
        started = time.monotonic()
        await asyncio.gather(*(self._send(socket, messages, times) for socket in self._sockets))
        times.seconds = time.monotonic() - started
        return times

    async def paced(self, rate: float, messages: int) -> Times:
        """Send messages at fixed times, on one socket after the other; latency counts from these times."""
        times = Times()
        started = time.monotonic()
        turns = []
        for number in range(messages):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            turns.append(asyncio.create_task(self._turn(self._sockets[number % self._count], due, times)))
        await asyncio.gather(*turns)
        times.seconds = time.monotonic() - started
        return times

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, messages: int, times: Times) -> None:
        for _ in range(messages):
            await self._turn(socket, time.monotonic(), times)

    async def _turn(self, socket: aiohttp.ClientWebSocketResponse, due: float, times: Times) -> None:
        await socket.send_str("How fast are you?")
        answer = await socket.receive(timeout=TIMEOUT)
        if answer.type is not aiohttp.WSMsgType.TEXT or "error" in answer.json():
            raise SystemExit(f"no answer, but {answer}")
        times.latencies.append((time.monotonic() - due) * 1000)
