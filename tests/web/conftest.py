"""A web process inside the test, with a real Redis and real sockets; the pipeline behind it is the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from faust_redis.testing import eventually
from pipeline.chat.presence import Presence
from pipeline.chat.records import Frame, Inbound, TurnOutcome
from pipeline.chat.results import Closed, Opened
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import connect
from pipeline.settings import RATES, Settings
from pipeline.telemetry import refusals
from tests.support.chat_client import ChatClient
from web import keys
from web.app import create_app
from web.chat.protocol import ClientMessage
from web.edge.connection import EdgeRunner


@dataclass
class Intake:
    """Takes the messages of all sockets in place of the producer; confirms each at once or never."""

    confirming: bool = True
    messages: list[tuple[str, ClientMessage]] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)

    stopped: list[tuple[str, str]] = field(default_factory=list)

    async def end_stopped(self, token: str, turn: str) -> asyncio.Future[Any]:
        """Note that a turn is to be ended."""
        self.stopped.append((token, turn))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def send(self, token: str, message: ClientMessage) -> asyncio.Future[Any]:
        """Take a message."""
        self.messages.append((token, message))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.confirming:
            future.set_result(None)
        return future

    @property
    def texts(self) -> list[str]:
        """The texts of all messages, in the order they came."""
        return [message.text for _, message in self.messages]


@dataclass
class Node:
    """A web process that serves, and what a test does to it as the pipeline would."""

    app: web.Application
    client: ChatClient
    intake: Intake
    redis: Redis
    settings: Settings

    @property
    def sessions(self) -> Sessions:
        """The sessions as the agents use them."""
        return Sessions(self.redis, self.settings)

    async def publish(self, token: str, *frames: Frame) -> int:
        """Send frames to the session's sockets, as deliver does."""
        return await Presence(self.redis).publish([(token, frame) for frame in frames])

    async def finish(self, token: str, text: str, answer: str) -> Frame:
        """Store a message and its answer without publishing it: it is unsent now."""
        message = ClientMessage(f"m-{text}", text)
        opened = await self.sessions.accept(Inbound(token=token, id=message.id, text=text, sent_at=0.0))
        assert isinstance(opened, Opened), opened
        closed = await self.sessions.close(TurnOutcome(token=token, turn=opened.turn, answer=answer))
        assert isinstance(closed, Closed), closed
        return closed.frame

    async def joined(self, token: str, sockets: int = 1) -> None:
        """Wait until sockets of a session are served."""
        hub = self.app[keys.HUB]
        await eventually(
            lambda: sum(not outbox.holding for outbox in hub.outboxes(token)) == sockets,
            f"{sockets} sockets of the session are served",
        )

    async def gone(self, token: str) -> None:
        """Wait until no socket of a session is left, in Redis as well."""

        async def absent() -> bool:
            return not await self.redis.exists(f"presence:{{{token}}}")

        await eventually(absent, "the session has no presence")


def plain(frame: Frame) -> dict[str, Any]:
    """Return what a plain socket is told of a frame."""
    told: dict[str, Any] = {"id": frame["id"], "msg": frame["msg"], "timestamp": frame["timestamp"]}
    return told | ({"error": frame["error"]} if "error" in frame else {})


def frame(number: int | str, text: str = "Hello", **more: str) -> Frame:
    """Return a frame as the pipeline sends it."""
    fields: Any = {
        "type": "error" if "error" in more else "message",
        "turn": f"turn-{number}",
        "id": f"frame-{number}",
        "msg": text,
        "timestamp": "2026-01-01T00:00:00+00:00",
        **more,
    }
    result: Frame = fields
    return result


@pytest.fixture(autouse=True)
def no_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without refusals, which a process counts and logs for all its parts together."""
    refusals.REFUSED.clear()
    monkeypatch.setattr(refusals, "_spells", {})


ServeNode = Callable[..., AbstractAsyncContextManager[Node]]


@pytest.fixture
def serve(redis_url: str) -> ServeNode:
    """Return what runs a web process: `async with serve(message_max_bytes=10) as node`; no rates."""

    @asynccontextmanager
    async def serve_node(*, url: str = redis_url, **settings: Any) -> AsyncIterator[Node]:
        made = Settings.load(redis_url=url, **{**dict.fromkeys(RATES, "0"), **settings})
        intake = Intake()
        app = create_app(made, producer=intake)
        runner = EdgeRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        redis = connect(url, max_connections=8)
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            async with ChatClient(f"http://127.0.0.1:{port}") as client:
                yield Node(app, client, intake, redis, made)
        finally:
            await redis.aclose()
            await runner.cleanup()

    return serve_node


@pytest.fixture
async def node(serve: ServeNode) -> AsyncIterator[Node]:
    """A web process with default settings."""
    async with serve() as served:
        yield served
