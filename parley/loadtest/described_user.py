"""A session of any WebSocket chat, by its description."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import orjson

from parley.loadtest.description import (
    ID,
    NOW,
    SESSION,
    TEXT,
    UUID,
    Description,
    Frames,
    filled,
    frame_of,
    value_at,
)
from parley.loadtest.faults import has_twice
from parley.loadtest.ledger import Sent
from parley.loadtest.virtual_user import CLOSE_SECONDS, RETRY_SECONDS, QueueingUser, UserContext

# Seconds to wait for the frame that says that a session is ready.
_READY_SECONDS = 10.0


class DescribedUser(QueueingUser):
    """A session as the description says; a lost socket loses its open messages, and a new session follows."""

    def __init__(self, number: int, context: UserContext) -> None:
        """Prepare the session; see ``VirtualUser``."""
        super().__init__(number, context)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._closing = False
        self._description = Description.of(context.plan.description or {})
        self._values: dict[str, str] = {}
        self._pieces: dict[str, list[str]] = {}  # of running answers, by message id

    async def open(self) -> None:
        """Open the session; see ``VirtualUser``."""
        await self._connect()
        self._start(self._read())
        self._start(self._write())

    async def close(self) -> None:
        """Close the socket, if it is open."""
        self._closing = True
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._socket.close()
        await super().close()

    async def _connect(self) -> None:
        description = self._description
        # A new name for each socket: a service may take a known one for a session that goes on.
        self._values = {SESSION: self.ledger.session, UUID: str(uuid.uuid4())}
        if (request := description.open) is not None:
            path = str(filled(request.path, self._values)).lstrip("/")
            body = filled(request.json, self._values)
            async with self._http.request(request.method, path, json=body) as response:
                response.raise_for_status()
                found = await response.json(content_type=None)
            for name, place in request.take.items():
                if (value := value_at(found, place)) is None:
                    raise LookupError(place)
                self._values[name] = str(value)
        path = str(filled(description.socket, self._values)).lstrip("/")
        socket = await self._http.ws_connect(path, protocols=tuple(description.protocols), max_msg_size=0)
        for number, hello in enumerate(description.hello):
            await socket.send_str(frame_of(hello, self._values, description.prefix))
            if number == 0 and description.ready:
                await _until_ready(socket, description.ready)
        self._socket = socket
        self._connected.set()

    async def _write(self) -> None:
        while True:
            await self._wait_for_queued()
            await self._connected.wait()
            await self._send(self._outgoing.popleft())

    async def _send(self, message: Sent) -> None:
        assert self._socket is not None  # noqa: S101
        now = datetime.now(UTC).isoformat()
        values = {**self._values, ID: message.id, TEXT: self._texts[message.id], NOW: now}
        try:
            await self._socket.send_str(frame_of(self._description.send, values, self._description.prefix))
        except (ConnectionError, aiohttp.ClientError):
            self._lose(message)

    async def _read(self) -> None:
        while not self._closing:
            assert self._socket is not None  # noqa: S101
            async for frame in self._socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    await self._take_or_reply(frame.data)
                elif frame.type is aiohttp.WSMsgType.BINARY:
                    self._measures.errors["unreadable_frame"] += 1
            self._connected.clear()
            if not self._closing:
                self._measures.dropped += 1
                for message in self.ledger.resent():
                    if message not in self._outgoing:
                        self._lose(message)
                await self._reconnect()

    async def _reconnect(self) -> None:
        while not self._closing:
            try:
                await self._connect()
                return
            except (aiohttp.ClientError, OSError, LookupError, TypeError, ValueError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _take_or_reply(self, data: str) -> None:
        reply, prefix = self._description.replies.get(data), self._description.prefix
        if reply is not None:
            assert self._socket is not None  # noqa: S101
            with suppress(ConnectionError, aiohttp.ClientError):
                await self._socket.send_str(reply)
        elif data.startswith(prefix):
            self._take(data.removeprefix(prefix))

    def _take(self, data: str) -> None:
        description, now = self._description, self._clock()
        frame: object = data
        with suppress(ValueError):
            frame = orjson.loads(data)
        if description.error is not None and description.error.has(frame):
            code = value_at(frame, description.error.text) if description.error.text else None
            self._end(self._id(description.error, frame), None, str(code or "error"), "", now)
        elif description.token is not None and description.token.has(frame):
            self._take_token(description.token, frame, now)
        elif description.answer.has(frame):
            turn = self._id(description.answer, frame)
            text = self._text_of(frame, data)
            self._end(turn, text, None, "", now)

    def _take_token(self, kind: Frames, frame: object, now: float) -> None:
        turn, text = self._id(kind, frame), value_at(frame, kind.text)
        message = self.ledger.open_message(turn)
        if not isinstance(text, str):
            self._measures.errors["unreadable_frame"] += 1
            return
        if message is None:  # of a second answer, whose end will count
            return
        self._pieces.setdefault(message.id, []).append(text)
        self._count_token(message, text, now)

    def _text_of(self, frame: object, data: str) -> str:
        """Return the text of an answer: of its frame, or of its pieces if the frame has none."""
        answer = self._description.answer
        text = value_at(frame, answer.text) if answer.text else data
        message = self.ledger.open_message(self._id(answer, frame))
        pieces = self._pieces.pop(message.id, []) if message is not None else []
        if not isinstance(text, str) or not text:
            whole = "".join(pieces)
            if message is not None and self._plan.echo:
                self.ledger.faults.doubled += has_twice(whole, self.ledger.session, message.number)
            return whole
        self.ledger.tokens.differing += _differs(text.strip(), pieces)
        return text

    def _id(self, kind: Frames, frame: object) -> str | None:
        """Return the id that a frame names; None if frames of this kind name none."""
        return str(value_at(frame, kind.id)) if kind.id else None


def _differs(text: str, pieces: list[str]) -> bool:
    """Return whether the pieces of an answer are another text than its end.

    The first piece may come in a frame of another kind, and each piece may hold all text so far.
    """
    return bool(pieces) and not (text.endswith("".join(pieces).strip()) or text == pieces[-1].strip())


async def _until_ready(socket: aiohttp.ClientWebSocketResponse, ready: str) -> None:
    """Wait for the frame that begins with a text.

    Raises:
        LookupError: it does not come.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS):
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT and frame.data.startswith(ready):
                    return
    raise LookupError(ready)
