"""The socket of a session, against servers that behave in unusual ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web
from yarl import URL

from faust_redis.testing import eventually
from parley.loadtest.client_socket import ClientSocket, connect


class Owner:
    """Notes the events of its socket in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.socket: ClientSocket | None = None

    def opened(self, socket: ClientSocket) -> None:
        self.events.append("opened")
        self.socket = socket

    def took_text(self, data: bytes | memoryview) -> None:
        self.events.append(bytes(data).decode())

    def took_binary(self) -> None:
        self.events.append("binary")

    def took_pong(self) -> None:
        self.events.append("pong")

    def writable(self, *, is_writable: bool) -> None:
        self.events.append(f"writable {is_writable}")

    def lost(self, socket: ClientSocket) -> None:
        assert socket is self.socket
        self.events.append("lost")


Serve = Callable[[web.WebSocketResponse], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def handling(chat: Handler) -> AsyncIterator[URL]:
    app = web.Application()
    app.router.add_get("/chat", chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield URL(f"http://127.0.0.1:{runner.addresses[0][1]}/chat")
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[URL]:
    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await serve(socket)
        return socket

    async with handling(chat) as url:
        yield url


async def read_all(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def test_a_message_in_several_frames_is_one_also_with_a_ping_between_them() -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        assert socket._writer is not None
        transport = socket._writer.transport
        for frame in (b"\x01\x02ab", b"\x89\x01p", b"\x00\x01c", b"\x80\x01d", b"\x02\x01x", b"\x80\x01y"):
            transport.write(frame)
        await socket.send_str("end")
        await read_all(socket)

    async with serving(serve) as url:
        owner = Owner()
        await connect(owner, url)
        await eventually(lambda: "end" in owner.events, "the last message")
        assert owner.socket is not None
        await owner.socket.close(2)

    assert owner.events == ["opened", "abcd", "binary", "end", "lost"]


async def test_frames_that_come_with_the_handshake_follow_the_opening() -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        await socket.send_str("first")
        await socket.close(code=WSCloseCode.GOING_AWAY)

    async with serving(serve) as url:
        owner = Owner()
        await connect(owner, url)
        await eventually(lambda: "lost" in owner.events, "the end")
        assert owner.socket is not None
        assert not owner.socket.is_open
        owner.socket.send(b"nobody reads this")

    assert owner.events == ["opened", "first", "lost"]


async def test_a_message_reaches_the_server_as_text() -> None:
    came: asyncio.Future[tuple[WSMsgType, str]] = asyncio.get_running_loop().create_future()

    async def serve(socket: web.WebSocketResponse) -> None:
        message = await socket.receive()
        came.set_result((message.type, message.data))
        await read_all(socket)

    async with serving(serve) as url:
        owner = Owner()
        await connect(owner, url)
        assert owner.socket is not None
        owner.socket.send("ünïcode".encode())
        assert await came == (WSMsgType.TEXT, "ünïcode")
        owner.socket.ping()
        await eventually(lambda: "pong" in owner.events, "the pong")
        await owner.socket.close(2)


async def test_a_status_that_refuses_is_an_error_with_that_status() -> None:
    async with serving(read_all) as url:
        with pytest.raises(aiohttp.WSServerHandshakeError) as found:
            await connect(Owner(), url / "absent")
    assert found.value.status == 404


async def test_a_service_without_the_protocol_is_refused() -> None:
    async with serving(read_all) as url:
        owner = Owner()
        with pytest.raises(aiohttp.ClientError, match="does not speak"):
            await connect(owner, url, protocol="parley.v1")
    assert owner.events == []


async def test_a_connection_that_breaks_in_the_handshake_is_an_error() -> None:
    async def drop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionResetError):
            await connect(Owner(), URL(f"http://127.0.0.1:{port}/chat"))


async def test_a_handshake_that_ends_after_its_caller_gave_up_opens_nothing() -> None:
    go, served = asyncio.Event(), asyncio.Event()

    async def chat(request: web.Request) -> web.WebSocketResponse:
        await go.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await read_all(socket)
        served.set()
        return socket

    owner = Owner()
    async with handling(chat) as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connect(owner, url)
        go.set()
        await asyncio.wait_for(served.wait(), 10)
    assert owner.events in ([], ["lost"])
