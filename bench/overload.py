"""Offer the service more than it can answer: ``python -m bench overload``.

The bottleneck is first the model, of known capacity, and then the processors, whose capacity a closed loop
measures. Messages are sent at fixed times on sockets that await no answer. Each row is measured with the
limit of an overload and without it (``BUSY_AFTER=0``).

    BENCH_OVERLOAD   seconds of each measurement (8)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import deque
from dataclasses import dataclass, field

import aiohttp
import orjson
import uvloop

from bench.service import closed, model, parley
from bench.talk import Times

#: Concurrent calls of the model, and the seconds that it takes for each.
PLACES, LATENCY = 16, 0.1
#: Sockets of the test; with the limit, fewer await an answer.
SOCKETS = 2500
#: Turns of the closed loop that measures the capacity of the processors.
TURNS = 8000
FACTORS = (2, 4)
OPENED_AT_ONCE = 32
#: Seconds to wait for missing answers after a measurement.
DRAIN_SECONDS = 20.0


@dataclass
class Flood:
    """The result of one measurement.

    Attributes:
        times: the latencies of the answers.
        refusals: the latencies of the refusals in ms.
        unsent: messages that were due while all sockets awaited an answer.
        other: errors by code, apart from ``busy``.
    """

    times: Times = field(default_factory=Times)
    refusals: list[float] = field(default_factory=list)
    unsent: int = 0
    other: list[str] = field(default_factory=list)


class Flooding:
    """Sockets to one service, each with a session of its own; an async context manager."""

    def __init__(self, url: str, sockets: int) -> None:
        self._url = url
        self._count = sockets
        self._flood = Flood()
        self._idle: deque[aiohttp.ClientWebSocketResponse] = deque()
        self._due: dict[aiohttp.ClientWebSocketResponse, float] = {}
        self._counts_from = math.inf
        self._drained = asyncio.Event()

    async def __aenter__(self) -> Flooding:
        self._http = aiohttp.ClientSession(self._url, connector=aiohttp.TCPConnector(limit=0))
        places = asyncio.Semaphore(OPENED_AT_ONCE)
        self._readers = await asyncio.gather(*(self._open(places) for _ in range(self._count)))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._http.close()

    async def run(self, rate: float, seconds: float) -> Flood:
        """Send for ``seconds``, each message on a socket that awaits no answer; count after one second."""
        started, sent = time.monotonic(), 0
        self._counts_from = started + 1
        while (now := time.monotonic()) < started + seconds:
            due = int((now - started) * rate)
            for number in range(sent, due):
                if not self._idle:
                    self._flood.unsent += 1
                    continue
                socket = self._idle.popleft()
                self._due[socket] = started + number / rate
                await socket.send_str("How fast are you?")
            sent = due
            await asyncio.sleep(0.002)
        self._flood.times.seconds = seconds - 1
        self._counts_from = math.inf
        self._drained.clear()
        with contextlib.suppress(TimeoutError):
            # Or the next measurement would begin with the backlog of this one.
            async with asyncio.timeout(DRAIN_SECONDS if self._due else 0):
                await self._drained.wait()
        return self._flood

    async def _open(self, places: asyncio.Semaphore) -> asyncio.Task[None]:
        async with places:
            async with self._http.post("/token", params={"name": "bench"}) as response:
                token = (await response.json())["token"]
            socket = await self._http.ws_connect("/chat", params={"token": token})
        self._idle.append(socket)
        # Read from now on, because the service closes a socket that answers no ping.
        return asyncio.create_task(self._read(socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now, frame = time.monotonic(), orjson.loads(message.data)
            latency = (now - self._due.pop(socket)) * 1000
            self._idle.append(socket)
            if not self._due:
                self._drained.set()
            if now < self._counts_from:
                continue
            match frame.get("error"):
                case None:
                    self._flood.times.latencies.append(latency)
                case "busy":
                    self._flood.refusals.append(latency)
                case code:
                    self._flood.other.append(code)


def overload() -> list[str]:
    """Return the lines of a table: the goodput and the latency of what is accepted under overload."""
    seconds = float(os.environ.get("BENCH_OVERLOAD", "8"))
    lines = [
        "| bottleneck | capacity, turns/s | offered | BUSY_AFTER | answered, of capacity | p50 | p99 "
        "| refused | p99 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    with model(LATENCY) as model_url:
        settings = {"INFER_CONCURRENCY": str(PLACES)}
        lines += _rows("the model", model_url, PLACES / LATENCY, seconds, settings)
    with model() as model_url:
        lines += _rows("2 cores, with the test on them", model_url, None, seconds, {})
    return lines


def _rows(
    bottleneck: str, model_url: str, capacity: float | None, seconds: float, settings: dict[str, str]
) -> list[str]:
    lines = []
    for busy_after in ("0", "0.7"):
        with parley(model_url, 1, BUSY_AFTER=busy_after, **settings) as (url, _):
            if capacity is None:
                capacity = uvloop.run(closed(url, 100, TURNS)).rate
            for factor in FACTORS:
                flood = uvloop.run(_flood(url, capacity * factor, seconds))
                lines.append(_row(bottleneck, capacity, factor, busy_after, flood))
    return lines


async def _flood(url: str, rate: float, seconds: float) -> Flood:
    async with Flooding(url, min(SOCKETS, int(rate * seconds))) as flooding:
        return await flooding.run(rate, seconds)


def _row(bottleneck: str, capacity: float, factor: int, busy_after: str, flood: Flood) -> str:
    times, refused = flood.times, Times(1.0, flood.refusals or [0.0])
    ended = len(times.latencies) + len(flood.refusals) + len(flood.other)
    if flood.other:
        bottleneck += f" ({len(flood.other)} other errors)"
    return (
        f"| {bottleneck} | {capacity:,.0f} | {factor} times | {busy_after} | {times.rate / capacity:.2f} "
        f"| {times.latency(0.5):,.0f} ms | {times.latency(0.99):,.0f} ms "
        f"| {len(flood.refusals) / max(1, ended):.0%} | {refused.latency(0.99):,.0f} ms |"
    )
