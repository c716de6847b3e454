"""A service on real sockets that does what a test wants, also what ours never does."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass
class Socket:
    """One socket of a session; what goes over it is kept in the history."""

    socket: web.WebSocketResponse
    history: list[dict[str, str]]

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the client sends, until it closes."""
        async for frame in self.socket:
            message: dict[str, Any] = orjson.loads(frame.data)
            self.history.append({"id": message["id"], "msg": f"Human: {message['text']}"})
            yield message

    async def message(self) -> dict[str, Any]:
        """Return the next message."""
        return await anext(self.messages())

    async def tell(self, *frames: dict[str, Any]) -> None:
        """Send frames."""
        for frame in frames:
            if frame["type"] == "message":
                self.history.append({"id": frame["id"], "msg": f"Bot: {frame['msg']}"})
            await self.socket.send_str(orjson.dumps(frame).decode())


def answer(turn: str, text: str) -> dict[str, Any]:
    """Return the frame that ends a turn."""
    return {"type": "message", "turn": turn, "id": str(uuid.uuid4()), "msg": text, "timestamp": ""}


async def take_all(socket: Socket) -> None:
    """Read every message and answer none."""
    async for _ in socket.messages():
        pass


async def answer_all(socket: Socket) -> None:
    """Answer every message with its text."""
    async for message in socket.messages():
        await socket.tell(answer(message["id"], message["text"]))


async def answer_raw(socket: Socket) -> None:
    """Answer as a service does that was written after the tutorial: raw text in, any text out."""
    async for frame in socket.socket:
        await socket.socket.send_str(f"Bot: {frame.data}")


Serve = Callable[[Socket], Awaitable[None]]


@dataclass
class FakeService:
    """The state of the service, and its faults.

    Attributes:
        places: sockets that may be open at the same time.
        shows: how often each message of a history is shown; None for no history at all.
        speaks: the protocols that its sockets know besides the plain one.
        looks: how many sockets were open when `look` was called.
        path: what its own paths begin with, as behind a proxy.
        closing: tasks that a test started and that end with the service.
    """

    serve: Serve
    places: int = 1000
    shows: int | None = 1
    speaks: tuple[str, ...] = ("parley.v1",)
    path: str = ""
    url: str = ""
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    closing: list[asyncio.Task[object]] = field(default_factory=list)
    histories: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def look(self) -> int:
        """Note how many sockets are open; stands for the reading of the memory."""
        self.looks.append(len(self.sockets))
        return 0

    async def token(self, _request: web.Request) -> web.Response:
        """Make a session."""
        token = str(uuid.uuid4())
        self.histories[token] = []
        return web.json_response({"token": token, "messages": []})

    async def refresh_token(self, request: web.Request) -> web.Response:
        """Show a session."""
        if self.shows is None:
            raise web.HTTPNotFound
        history = self.histories[request.query["token"]]
        shown = itertools.chain.from_iterable([message] * self.shows for message in history)
        return web.json_response({"messages": list(shown)})

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a socket as the test wants."""
        if len(self.sockets) >= self.places:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(protocols=self.speaks)
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            await self.serve(Socket(socket, self.histories[request.query["token"]]))
        finally:
            self.sockets.remove(socket)
        return socket


@asynccontextmanager
async def fake_service(serve: Serve, **of_service: Any) -> AsyncIterator[FakeService]:
    """Run one; `serve` is what it does with a socket."""
    service = FakeService(serve, **of_service)
    app = web.Application()
    app.router.add_post(f"{service.path}/token", service.token)
    app.router.add_get(f"{service.path}/refresh_token", service.refresh_token)
    app.router.add_get(f"{service.path}/chat", service.chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}{service.path}"
    try:
        yield service
    finally:
        await runner.cleanup()
        await asyncio.gather(*service.closing)
