"""A model server that costs next to nothing, so that a load test measures the service.

It answers both protocols of Hugging Face, streamed or whole. An answer begins with the mark of its message
(see ``faults.MessageMark``), and comes token by token at a set pace. One timer serves all answers: at 200
answers of 50 tokens a second, a task per answer would cost more than the service under test.

    python -m parley.loadtest.model --port 8901 --latency 0.05 --tokens 40 --rate 50
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import orjson
import uvloop

_MARKER = re.compile(rb"\[s\d+\.\d+\]")
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream":\s*true')

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n"


@dataclass(frozen=True)
class Pace:
    """The pace of the model's answers.

    Attributes:
        latency: seconds before the first token.
        tokens: the number of tokens of an answer.
        rate: tokens per second; 0 for all at once.
    """

    latency: float = 0.0
    tokens: int = 20
    rate: float = 0.0


class PacedModel:
    """The server; ``start`` it, then ``stop`` it."""

    def __init__(self, pace: Pace) -> None:
        """Take the pace of all answers."""
        self.pace = pace
        self.timers = Timers()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on the loopback; return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


class Timers:
    """Calls due at a moment; one timer of the event loop for all of them."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._timer: asyncio.Handle | None = None
        self._moment = 0.0  # when the timer fires, because not every handle of uvloop has this attribute

    def at(self, moment: float, call: Callable[[], object]) -> None:
        """Have ``call`` made at a moment of the loop's clock."""
        heapq.heappush(self._due, (moment, next(self._count), call))
        if self._timer is None or moment < self._moment:
            self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._moment = self._due[0][0]
        loop = asyncio.get_running_loop()
        # uvloop counts in whole milliseconds, and would round down: it would call too early, again and again.
        milliseconds = math.ceil((self._moment - loop.time()) * 1000)
        self._timer = loop.call_later(max(0, milliseconds) / 1000, self._run)

    def _run(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if self._due and self._timer is None:
            self._set()


class _Connection(asyncio.Protocol):
    def __init__(self, model: PacedModel) -> None:
        self._model = model
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if not found or len(rest) < size:
                return
            self._data = rest[size:]
            self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        pace, chat = self._model.pace, b"/chat/completions" in head.partition(b"\r\n")[0]
        markers = _MARKER.findall(body)
        tokens = [markers[-1].decode() if markers else "Yes,", *(f" word{n}" for n in range(1, pace.tokens))]
        now = asyncio.get_running_loop().time()
        first = now + pace.latency
        text = "".join(tokens)
        if not _STREAM.search(body):
            done = first + (pace.tokens / pace.rate if pace.rate else 0)
            self._send_at(done, _response(_whole(text, chat)))
            return
        head_of_stream = _HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked")
        events = [_event(token, chat, None) for token in tokens[:-1]]
        events.append(_event(tokens[-1], chat, text))
        if chat:
            events[-1] += b"data: [DONE]\n\n"
        if not pace.rate:
            self._send_at(first, head_of_stream + _chunk(b"".join(events)) + _chunk(b""))
            return
        _Stream(self, [head_of_stream + _chunk(events[0]), *map(_chunk, events[1:]), _chunk(b"")]).start(
            first
        )

    def _send_at(self, moment: float, data: bytes) -> None:
        self._model.timers.at(moment, partial(self.send, data))

    def send(self, data: bytes) -> bool:
        """Send to the client; return whether it is still connected."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True

    def later(self, moment: float, call: Callable[[], None]) -> None:
        """Have a call made."""
        self._model.timers.at(moment, call)

    @property
    def gap(self) -> float:
        """Seconds between tokens."""
        return 1 / self._model.pace.rate


class _Stream:
    def __init__(self, connection: _Connection, parts: list[bytes]) -> None:
        self._connection = connection
        self._parts = parts
        self._at = 0
        self._next = 0.0

    def start(self, moment: float) -> None:
        self._next = moment
        self._connection.later(moment, self._step)

    def _step(self) -> None:
        part = self._parts[self._at]
        self._at += 1
        if self._at == len(self._parts) - 1:
            part += self._parts[self._at]
            self._at += 1
        if self._connection.send(part) and self._at < len(self._parts):
            self._next += self._connection.gap
            self._connection.later(self._next, self._step)


def _event(token: str, chat: bool, whole: str | None) -> bytes:
    if chat:
        reason = None if whole is None else "stop"
        body: Any = {"choices": [{"index": 0, "delta": {"content": token}, "finish_reason": reason}]}
    else:
        body = {"token": {"text": token, "special": False}, "generated_text": whole}
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _whole(text: str, chat: bool) -> bytes:
    if chat:
        return orjson.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})
    return orjson.dumps([{"generated_text": text}])


def _response(body: bytes) -> bytes:
    return _HEAD % (b"application/json", b"Content-Length: %d" % len(body)) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _serve(port: int, pace: Pace) -> None:
    model = PacedModel(pace)
    print(await model.start(port), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed; the first line printed is the port."""
    parser = argparse.ArgumentParser(description="A model server for load tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first token")
    parser.add_argument("--tokens", type=int, default=20, help="of an answer")
    parser.add_argument("--rate", type=float, default=0.0, help="tokens per second, 0 for all at once")
    given = parser.parse_args()
    uvloop.run(_serve(given.port, Pace(given.latency, max(1, given.tokens), given.rate)))


if __name__ == "__main__":
    main()
