"""A client of the chat for tests: tokens, and sockets of both protocols."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient

_SECONDS = 30.0
"""How long an answer may take by default."""


class PlainSocket:
    """A socket of the plain protocol: text out, JSON frames in."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, *texts: str) -> None:
        """Send messages, without waiting for their answers."""
        for text in texts:
            await self.socket.send_str(text)

    async def answer(self, timeout: float = _SECONDS) -> dict[str, Any]:
        """Return the next frame, be it an answer or an error.

        Raises:
            AssertionError: the socket was closed, or sent something else than a text frame.
            TimeoutError: none came within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            received = await self.socket.receive()
        assert received.type is aiohttp.WSMsgType.TEXT, f"{received}, close code {self.socket.close_code}"
        return cast("dict[str, Any]", orjson.loads(received.data))

    async def answers(self, count: int, timeout: float = _SECONDS) -> list[dict[str, Any]]:
        """Return the next `count` frames; `timeout` seconds are for all of them."""
        async with asyncio.timeout(timeout):
            return [await self.answer(timeout) for _ in range(count)]

    async def silent(self, seconds: float = 0.3) -> bool:
        """Tell whether nothing comes for some seconds."""
        try:
            await self.answer(seconds)
        except TimeoutError:
            return True
        return False

    async def close_code(self, timeout: float = _SECONDS) -> int | None:
        """Wait until the server closes the socket, dropping what comes before; return the code."""
        async with asyncio.timeout(timeout):
            while not self.socket.closed:
                await self.socket.receive()
        return self.socket.close_code

    async def close(self) -> None:
        """Close the socket in good order."""
        await self.socket.close()

    def vanish(self) -> None:
        """Drop the connection without a word, as a peer does whose network is gone."""
        connection = self.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


class StreamSocket(PlainSocket):
    """A socket of `parley.v1`: JSON frames both ways.

    Attributes:
        frames: all that came so far.
        texts: what the tokens of each turn add up to since its last `start`.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(socket)
        self.frames: list[dict[str, Any]] = []
        self.texts: dict[str, str] = {}
        self._indices: dict[str, int] = {}

    async def put(self, **frame: Any) -> None:
        """Send a frame."""
        await self.socket.send_str(orjson.dumps(frame).decode())

    async def say(self, text: str, message_id: str | None = None) -> str:
        """Send a message; return its id."""
        message_id = message_id or str(uuid.uuid4())
        await self.put(type="message", id=message_id, text=text)
        return message_id

    async def frame(self, timeout: float = _SECONDS) -> dict[str, Any]:
        """Return the next frame, after a check of what the protocol promises of it.

        Raises:
            AssertionError: the socket was closed, or a frame breaks the protocol.
            TimeoutError: none came within `timeout` seconds.
        """
        frame = await self.answer(timeout)
        self.frames.append(frame)
        turn = frame.get("turn", "")
        match frame["type"]:
            case "start":
                self.texts[turn], self._indices[turn] = "", 0
            case "token":
                assert frame["index"] == self._indices[turn], frame
                assert frame["text"], frame
                self._indices[turn] += 1
                self.texts[turn] += frame["text"]
            case "message" if turn in self.texts:
                assert self.texts[turn] == frame["msg"], frame
        return frame

    async def reads(self, turn: str, text: str, timeout: float = _SECONDS) -> None:
        """Take frames until the tokens of a turn add up to a text; `timeout` seconds for all of them."""
        async with asyncio.timeout(timeout):
            while self.texts.get(turn) != text:
                await self.frame(timeout)

    async def until(
        self, wanted: str | Callable[[dict[str, Any]], bool], timeout: float = _SECONDS
    ) -> dict[str, Any]:
        """Return the next frame of a type, or one that a function takes; `timeout` seconds for all before."""
        async with asyncio.timeout(timeout):
            while True:
                frame = await self.frame(timeout)
                if frame["type"] == wanted if isinstance(wanted, str) else wanted(frame):
                    return frame


Http = aiohttp.ClientSession | TestClient[web.Request, None]


class ChatClient:
    """A client of one web process; use as `async with ChatClient(url) as client`."""

    http: Http

    def __init__(self, url: str, http: Http | None = None) -> None:
        """Take the server's address, as http://127.0.0.1:3500.

        A client of HTTP that is given stays its owner's to close, and `async with` is not needed.
        """
        self.url = url.rstrip("/")
        if http is not None:
            self.http = http
        self._sockets: list[PlainSocket] = []

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(self.url)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for socket in self._sockets:
            await socket.close()
        await self.http.close()

    async def token(self, name: str = "Ada") -> str:
        """Return the token of a new session."""
        async with self.http.post("/token", params={"name": name}) as response:
            body = await response.json()
            assert response.status == 200, body
            return cast(str, body["token"])

    async def session(self, token: str) -> dict[str, Any]:
        """Return a session's document."""
        async with self.http.get("/refresh_token", params={"token": token}) as response:
            body = await response.json()
            assert response.status == 200, body
            return cast("dict[str, Any]", body)

    async def open(
        self, token: str, *, headers: Mapping[str, str] | None = None, autoping: bool = True
    ) -> PlainSocket:
        """Return an open socket of a session."""
        socket = await self.http.ws_connect(
            "/chat", params={"token": token}, headers=headers, autoping=autoping, max_msg_size=0
        )
        self._sockets.append(PlainSocket(socket))
        return self._sockets[-1]

    async def stream(self, token: str, **query: str) -> StreamSocket:
        """Return an open socket of a session that speaks `parley.v1`; `after` may be given."""
        socket = await self.http.ws_connect(
            "/chat", params={"token": token, **query}, protocols=("parley.v1",), max_msg_size=0
        )
        assert socket.protocol == "parley.v1"
        self._sockets.append(StreamSocket(socket))
        return cast(StreamSocket, self._sockets[-1])

    async def ask(self, token: str, *texts: str, timeout: float = _SECONDS) -> list[dict[str, Any]]:
        """Send messages on a socket of their own, and return as many frames."""
        socket = await self.open(token)
        try:
            await socket.send(*texts)
            return await socket.answers(len(texts), timeout)
        finally:
            await socket.close()
