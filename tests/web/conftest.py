"""A web process inside the test, with a real Redis and real sockets; the pipeline behind it is the test."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp import AiohttpClient
from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis.testing import Keys, encode, eventually
from pipeline.chat.presence import Presence
from pipeline.chat.records import Frame, Inbound, TurnOutcome
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import Closed, Opened
from pipeline.edge import limits as edge_limits
from pipeline.redis.client import connect, execute
from pipeline.settings import RATES, STAGES, Settings
from pipeline.telemetry import refusals
from tests.support.chat_client import ChatClient
from web import keys, limits
from web.app import create_app
from web.chat.protocol import ClientMessage
from web.edge.connection import EdgeRunner

KEYS = Keys()

# The host name of a proxy in front of a web process.
NAME = "chat.example.com"

# The admin token of the web process `locked`, and the content of its messages.
ADMIN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {ADMIN}"}
SECRET = "what nobody else may read"


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
    http: TestClient[web.Request, None]
    intake: Intake
    redis: Redis
    settings: Settings

    @cached_property
    def client(self) -> ChatClient:
        """A client of the chat."""
        return ChatClient(str(self.http.make_url("")), self.http)

    async def stop(self) -> None:
        """Stop the web process, and its client."""
        await self.http.close()

    @property
    def sessions(self) -> RepairableSessions:
        """The sessions as the agents use them."""
        return RepairableSessions(self.redis, self.settings)

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
    """Return the text that a plain socket gets for a frame."""
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


class Gate:
    """A step that waits until the test lets it pass."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def pass_through(self) -> None:
        """Wait for the test."""
        self.reached.set()
        await self.open.wait()


@pytest.fixture(autouse=True)
def no_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without refusals, which a process counts and logs for all its parts together."""
    refusals.REFUSED.clear()
    monkeypatch.setattr(refusals, "_spells", {})


async def staff(redis: Redis, *stages: str) -> None:
    """Record a worker with partitions in each of these stages; its heartbeats never get old."""
    for stage in stages:
        group = KEYS.group(stage)
        await redis.zadd(group.heartbeats, {"worker": 2**50})
        await redis.hset(group.plan, "worker", b"all")


ServeNode = Callable[..., Awaitable[Node]]


class EdgeServer(TestServer):
    """A server whose connections have the limits of the web process."""

    async def _make_runner(self, **_kwargs: Any) -> EdgeRunner:
        return EdgeRunner(self.app, shutdown_timeout=1.0)


@pytest.fixture
async def serve(redis_url: str, aiohttp_client: AiohttpClient) -> AsyncIterator[ServeNode]:
    """Run a web process, without rates, until the test ends: `node = await serve(message_max_bytes=10)`.

    With `staffed`, Redis holds a worker of each stage, as `/readyz` wants.
    """
    clients: list[Redis] = []

    async def serve_node(*, url: str = redis_url, staffed: bool = False, **settings: Any) -> Node:
        made = Settings.load(redis_url=url, **{**dict.fromkeys(RATES, "0"), **settings})
        intake = Intake()
        app = create_app(made, producer=intake)
        http: TestClient[web.Request, None] = await aiohttp_client(EdgeServer(app))
        clients.append(connect(url, max_connections=8))
        if staffed:
            with suppress(RedisError):
                await staff(clients[-1], *STAGES)
        return Node(app, http, intake, clients[-1], made)

    yield serve_node
    for client in clients:
        await client.aclose()


@pytest.fixture
async def node(serve: ServeNode) -> Node:
    """A web process with default settings."""
    return await serve()


@pytest.fixture
async def other(serve: ServeNode) -> Node:
    """A second web process on the same Redis."""
    return await serve()


@pytest.fixture
async def locked(serve: ServeNode) -> Node:
    """A web process with an admin token, and one message and one dead letter in `infer`."""
    node = await serve(admin_token=ADMIN)
    value = json.dumps({"token": "t" * 36, "turn": "m-1", "prompt": SECRET}).encode()
    await node.redis.hset(KEYS.topic("infer"), "partitions", "1")
    await execute(node.redis, "XADD", KEYS.stream(("infer", 0)), "0-*", *encode(b"k", value, None, 1.0))
    facts = ("group", "infer", "offset", "0-9", "attempts", 5, "error", f"KeyError: {SECRET}")
    dead: tuple[str | bytes | int, ...] = (*encode(b"k", value, None, 1.0), *facts)
    await execute(node.redis, "XADD", KEYS.dead(("infer", 0)), "*", *dead)
    return node


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the web process impatient."""
    for module, name in (
        (edge_limits, "HEAD_SECONDS"),
        (edge_limits, "MESSAGE_SECONDS"),
        (limits, "REQUEST_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.5)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with one module."""
    (tmp_path / "module.py").write_text("value = 1\n")
    return tmp_path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of the proxy's name, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    name = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *how.split(), *name, *files], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
async def before_presence(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Hold the writes of presences back."""
    gate, hold = Gate(), Presence.hold

    async def late(self: Presence, node: str, sessions: Mapping[str, bool]) -> None:
        await gate.pass_through()
        await hold(self, node, sessions)

    monkeypatch.setattr(Presence, "hold", late)
    return gate


@pytest.fixture
async def after_adoption(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Hold the replies back with the unfinished messages of a session."""
    gate, unfinished = Gate(), RepairableSessions.unfinished

    async def late(self: RepairableSessions, token: str) -> tuple[str, list[Inbound]] | None:
        found = await unfinished(self, token)
        await gate.pass_through()
        return found

    monkeypatch.setattr(RepairableSessions, "unfinished", late)
    return gate
