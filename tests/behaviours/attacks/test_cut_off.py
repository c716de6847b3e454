"""A web process that the network cuts off from Redis while people talk: each message has one end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

import aiohttp
import pytest

from faust_redis.redis import cancel_and_wait
from faust_redis.testing import eventually
from parley.local.embedded import EmbeddedRedis
from parley.local.ports import free_port
from tests.support.chat_client import ChatClient
from tests.support.service import CLONE, Up, started

pytestmark = pytest.mark.timeout(300)

# Longer than anything waits for a confirmation, at full size.
CUT_SECONDS = 45 * min(1.0, float(os.environ.get("ATTACKS_SCALE", "0.1")))
CLIENTS, MESSAGES = 4, 10


class Relay:
    """Stands between a web process and Redis; passes nothing on, either way, while it is cut."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._whole = asyncio.Event()
        self._whole.set()
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin to pass on."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        self._whole.set()
        self._server.close()
        await cancel_and_wait(list(self._passing))

    @property
    def port(self) -> int:
        """The port that leads to Redis."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def cut(self, seconds: float) -> None:
        """Pass on nothing for some seconds, then everything; connections stay open."""
        self._whole.clear()
        await asyncio.sleep(seconds)  # the length of the outage
        self._whole.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        await self._whole.wait()
        other_reader, other_writer = await asyncio.open_unix_connection(self._path)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pump(reader, other_writer), self._pump(other_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def web_through(up: Up, redis_port: int, log: Path) -> AsyncIterator[str]:
    """Run one more web process, which reaches Redis by a port; give its address."""
    port = free_port()
    variables = {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", "PORT": str(port)}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "parley.cli", "web"),
            cwd=CLONE,
            env={**up.environment, **variables},
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession(url) as http, http.get("/readyz") as response:
                return response.status == 200
        return False

    try:
        await eventually(ready, "the web process is ready", timeout=60)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def test_each_message_has_one_answer_and_no_error_besides(tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    errors: list[str] = []
    talkers: set[str] = set()

    async def talk(client: ChatClient) -> tuple[str, list[str]]:
        token = await client.token()
        socket = await client.stream(token)
        sent = []
        for number in range(MESSAGES):
            sent.append(await socket.say(f"message {number}"))
            talkers.add(token)
            await asyncio.sleep((CUT_SECONDS + 2) / MESSAGES)  # the pace: it outlasts the outage
        while sum(ends[each] for each in sent) < MESSAGES:
            frame = await socket.frame(timeout=90)
            if frame["type"] in ("message", "error"):
                ends[frame.get("turn") or frame["id"]] += 1
                errors.extend(frame["code"] for _ in range(frame["type"] == "error"))
        assert await socket.silent(2)
        return token, sent

    with (
        EmbeddedRedis(tmp_path / "redis") as redis,
        started(tmp_path, REDIS_URL=redis.url, APP_ENV="production") as up,
    ):
        async with (
            Relay(urlsplit(redis.url).path) as relay,
            web_through(up, relay.port, tmp_path / "web.log") as url,
            ChatClient(url) as client,
        ):
            talking = [asyncio.create_task(talk(client)) for _ in range(CLIENTS)]
            await eventually(lambda: len(talkers) == CLIENTS, "every client to talk", 60)
            await relay.cut(CUT_SECONDS)
            sent = dict(await asyncio.gather(*talking))
            histories = [await client.session(token) for token in sent]

    assert errors == []
    assert [ends[each] for ids in sent.values() for each in ids] == [1] * CLIENTS * MESSAGES
    assert [len(history["messages"]) for history in histories] == [2 * MESSAGES] * CLIENTS
