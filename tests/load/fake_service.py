"""A service on real sockets that does what a test wants, also what ours never does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


async def take_all(socket: web.WebSocketResponse) -> None:
    """Read every message and answer none."""
    async for _ in socket:
        pass


async def answer_all(socket: web.WebSocketResponse) -> None:
    """Answer every message with its text."""
    async for frame in socket:
        message = orjson.loads(frame.data)
        await tell(socket, answer(message["id"], message["text"]))


def answer(turn: str, text: str) -> dict[str, Any]:
    """Return the frame that ends a turn."""
    return {"type": "message", "turn": turn, "id": str(uuid.uuid4()), "msg": text, "timestamp": ""}


async def tell(socket: web.WebSocketResponse, *frames: dict[str, Any]) -> None:
    """Send frames."""
    for frame in frames:
        await socket.send_str(orjson.dumps(frame).decode())


@dataclass
class FakeService:
    """What it was asked and what it holds.

    Attributes:
        places: sockets that may be open at the same time.
        looks: how many were open when `look` was called.
    """

    serve: Serve
    places: int
    url: str = ""
    history: list[dict[str, str]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    closing: list[asyncio.Task[object]] = field(default_factory=list)

    def look(self) -> int:
        """Note how many sockets are open; stands for the reading of the memory."""
        self.looks.append(len(self.sockets))
        return 0

    async def token(self, _request: web.Request) -> web.Response:
        """Answer `/token` and `/refresh_token`."""
        return web.json_response({"token": "t", "messages": self.history})

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a socket as the test wants."""
        if len(self.sockets) >= self.places:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(protocols=("parley.v1",))
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            await self.serve(socket)
        finally:
            self.sockets.remove(socket)
        return socket


@asynccontextmanager
async def fake_service(serve: Serve, places: int = 1000) -> AsyncIterator[FakeService]:
    """Run one; `serve` is what it does with a socket."""
    service = FakeService(serve, places)
    app = web.Application()
    app.router.add_post("/token", service.token)
    app.router.add_get("/refresh_token", service.token)
    app.router.add_get("/chat", service.chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()
        await asyncio.gather(*service.closing)
