"""Read the JSON values in the body of a model server's response."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import repeat, starmap

import aiohttp
import orjson

from pipeline.deadlines import run_until_blocked
from pipeline.models.base import read_at_once
from pipeline.models.connect_failures import failure_of_http
from pipeline.models.failures import MAX_RESPONSE_BYTES, bad_response, endless
from pipeline.models.posting import Response
from pipeline.models.server_text import evidence
from pipeline.models.silence import SilenceTimer
from pipeline.models.sse import Event, EventParser

#: Seconds to wait for the end of a response whose answer is complete, because only then the connection can be
#: reused; a server that keeps it open delays the answer by no more than this.
END_TIMEOUT = 0.2

# The beginnings that distinguish a stream of events from a document, because the Content-Type is often wrong.
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b"error:", b":")
_LONGEST_FIELD = max(map(len, _FIELDS))

_DONE_WORDS = frozenset({b"[done]", b"done", b'"[done]"', b"'[done]'", b"<done>"})
# Names of events without a JSON value that end a stream.
_DONE_NAMES = frozenset({"done", "end", "close", "complete", "completed", "finish", "stream_end", "eos"})
_ANSWER_FIELDS = frozenset({"choices", "token", "generated_text", "error"})
# Keep-alive signals of servers and proxies, as the name or the data of an event. A colon begins a comment
# that a server has put into an event; no JSON value begins with one.
_ALIVE = re.compile(
    rb":.*|(?:[\[<(\"'*]*(?:keep[-_ ]?alive|ping|pong|heart[-_ ]?beat|processing|waiting|no[-_ ]?op|connected"
    rb"|open|alive|still alive)\b[\s\])>\"'*.:!-]*(?:\d[\d.:TZ+-]*)?)?|[.\-_*\s\x00]+",
    re.IGNORECASE | re.DOTALL,
)
# Types of a body with one JSON value a line.
_LINE_TYPES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
        "application/json-lines",
        "application/json-seq",
        "application/stream+json",
    }
)
_GLUED = re.compile(rb"(?<=\})data: ?(?=\{|\[DONE\])")
_PLAIN_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,40}")


_BOM = b"\xef\xbb\xbf"


class Mark(Enum):
    """An event without a JSON value."""

    DONE = "the stream is done"
    ALIVE = "the server is alive"


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """An event that is marked as an error; ``body`` is decoded JSON or text."""

    body: object


class ResponseBody:
    """Read one response.

    Args:
        silence: the timer that limits the server's silence.
        secret: the token of the request, which is removed from errors.
        rest: see ``ModelRequest``.

    Attributes:
        over: whether all values were returned.
    """

    def __init__(
        self,
        response: Response,
        silence: SilenceTimer,
        *,
        secret: str | None = None,
        rest: Callable[[], asyncio.Future[None] | None] = read_at_once,
    ) -> None:
        self.over = False
        self._response = response
        self._silence = silence
        self._secret = secret
        self._rest = rest
        self._head = b""
        self._parser: EventParser | None = None

    async def next(self) -> Iterator[object]:
        """Return the next values, possibly empty: JSON values, ``ErrorEvent`` and ``Mark``.

        A value that is not JSON raises when the iterator reaches it.

        Raises:
            ModelError: the connection broke, or the body is not JSON.
        """
        if (moment := self._rest()) is not None:
            await moment
        piece = await self._piece()
        self.over = not piece
        if self._parser is None:
            self._head += piece
            streamed = _is_stream(self._head, self._response, ended=self.over)
            if streamed is None:
                # Servers send line feeds while the model works, however long that takes.
                self._head = self._head.lstrip()
                return iter(())
            if not streamed:
                document = await self.whole()
                self.over = True
                return iter(self._document(document))
            self._parser = EventParser()
            piece, self._head = self._head, b""
        if b"}data:" not in piece and (plain := self._parser.feed_plain(piece)) is not None:
            return self._plain_values(plain)
        events = self._parser.feed(piece)
        if self.over:
            *whole, last = self._parser.end() or (None,)
            events += [*whole, *([last] if last is not None and _is_whole(last) else [])]
        if b"}data:" in piece:
            events = [part for event in events for part in _unglued(event)]
        return starmap(self._value, events)

    @property
    def ignored(self) -> str:
        """The beginning of the lines that belong to no event, for the log; mostly empty."""
        return evidence(self._parser.ignored, secret=self._secret) if self._parser else ""

    async def whole(self) -> bytes:
        """Return the complete rest of the body.

        Raises:
            ModelError: the connection broke, or the body is longer than any answer.
        """
        body = bytearray(self._head)
        self._head = b""
        while piece := await self._piece():
            body += piece
            if len(body) > MAX_RESPONSE_BYTES:
                raise endless()
        return bytes(body)

    async def drain(self) -> None:
        """Wait briefly for the body's end, so that the connection can be reused."""
        try:
            begun = run_until_blocked(self._skip())
            if not isinstance(begun, tuple):
                async with asyncio.timeout(END_TIMEOUT):
                    await begun
        except (aiohttp.ClientError, OSError):
            pass  # the answer is complete in each case; TimeoutError is an OSError

    async def _skip(self) -> None:
        while await self._response.content.readany():
            pass

    async def _piece(self) -> bytes:
        content = self._response.content
        try:
            # Most pieces have to be awaited, but the later parts of a long piece are already here.
            piece = content.read_nowait() or await self._silence.bounded(content.readany())
        except (aiohttp.ClientError, OSError) as exc:
            raise failure_of_http(exc, self._response.url) from exc
        self._silence.hear()
        return piece

    def _document(self, body: bytes) -> tuple[object, ...]:
        value = decoded_json(body)
        if value is not None:
            return value
        # One value per line is a stream without the event format.
        lines = [decoded_json(line) for line in body.splitlines() if line.strip()]
        if lines and lines[0] is not None:
            return tuple(line[0] for line in lines if line is not None)
        blank = not body.strip()
        kind = self._response.content_type
        what = "an empty body" if blank else kind if _PLAIN_TYPE.fullmatch(kind) else "something else"
        raise bad_response(
            f"The model server answered with {what} instead of JSON",
            retryable=blank,
            status=self._response.status,
            report="" if blank else f"it begins: {evidence(body, secret=self._secret)}",
        )

    def _plain_values(self, events: list[bytes]) -> Iterator[object]:
        """Return the values of events without a name; those that are all objects are decoded at once."""
        is_done = events[-1] == b"[DONE]"
        try:
            values: list[object] = [*map(orjson.loads, events[:-1] if is_done else events)]
        except orjson.JSONDecodeError:
            values = []
        if {*map(type, values)} != {dict}:
            return map(self._value, repeat("message"), events)
        if is_done:
            values.append(Mark.DONE)
        return iter(values)

    def _value(self, name: str, data: bytes) -> object:
        if data[:1] == b"{" and name == "message":
            # By far the most common value; the checks below don't apply to an object.
            try:
                return orjson.loads(data)
            except orjson.JSONDecodeError:
                pass
        elif data == b"[DONE]":
            return Mark.DONE
        sent, data = data, data.removeprefix(_BOM).strip()
        if data.startswith(b"data:"):
            # A proxy has put an event into an event.
            return self._value(name, data[5:].lstrip())
        decoded = decoded_json(data)
        value = decoded[0] if decoded else None
        if name == "error":
            return ErrorEvent(value if decoded else data.decode("utf-8", "replace"))
        if mark := _mark(name, data, value):
            return mark
        if decoded is None:
            raise bad_response(
                "The model server sent an event that is not JSON",
                status=self._response.status,
                report=f"it begins: {evidence(sent, secret=self._secret)}",
            )
        if isinstance(value, str) and (inner := decoded_json(value.encode("utf-8", "replace"))):
            # Some proxies encode a value twice.
            return inner[0]
        return value


def decoded_json(data: bytes) -> tuple[object] | None:
    """Decode JSON, and return the value in a tuple; None when ``data`` is not JSON."""
    data = data.removeprefix(_BOM)
    try:
        return (orjson.loads(data),)
    except orjson.JSONDecodeError:
        pass
    try:
        # More lenient than orjson: accepts half a surrogate pair, whose other half may come with the next
        # piece, and bytes that are not UTF-8.
        return (json.loads(data.decode("utf-8", "replace")),)
    except (ValueError, RecursionError):
        return None


def _mark(name: str, data: bytes, value: object) -> Mark | None:
    """Return what an event without a part of the answer stands for; None when it has such a part.

    Args:
        name: the event's name.
        data: the event's data without blanks.
        value: the decoded data, None when it is not JSON.
    """
    ends_by_name = name != "message" and not value and name.lower() in _DONE_NAMES
    if data.lower() in _DONE_WORDS or ends_by_name:
        return Mark.DONE
    alive_by_name = _ALIVE.fullmatch(name.encode()) and not _is_part_of_answer(value)
    return Mark.ALIVE if _ALIVE.fullmatch(data) or alive_by_name else None


def _is_part_of_answer(value: object) -> bool:
    return isinstance(value, dict) and not _ANSWER_FIELDS.isdisjoint(value)


def _unglued(event: Event) -> list[Event]:
    """Split an event that is several, because a proxy has lost the line ends between them."""
    if decoded_json(event.data) is not None:
        return [event]
    return [event._replace(data=part) for part in _GLUED.split(event.data)]


def _is_whole(event: Event) -> bool:
    """Return whether the last event of a stream is complete although its blank line is missing."""
    return (
        event.data.strip().lower() in _DONE_WORDS
        or event.name == "error"
        or decoded_json(event.data) is not None
    )


def _is_stream(head: bytes, response: Response, *, ended: bool) -> bool | None:
    """Return whether a body that begins with ``head`` is a stream of events; None while unclear."""
    begin = head.removeprefix(_BOM).lstrip()[:_LONGEST_FIELD].lower()
    if begin.startswith(_FIELDS):
        return True
    # Only then, because the type has to be parsed.
    if begin[:1] == b"{" and response.content_type in _LINE_TYPES:
        return True
    if begin.startswith((b"{", b"[", b"<", b'"')):
        return False
    if begin and response.content_type == "text/event-stream":
        return True
    return False if ended or len(begin) >= _LONGEST_FIELD else None
