"""One HTTP endpoint that takes JSON and answers with a stream of JSON, or with one JSON document.

The connections are kept and reused. What a payload means is the business of a `Reader`, which is told of each
payload in turn; everything that HTTP can do wrong ends here, as a `ModelError`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import aiohttp
import orjson
from yarl import URL

from pipeline.deadlines import DeadlineExceeded, DeadlineTimer, run_until_blocked
from pipeline.errors import ModelError
from pipeline.models.answer_text import AnswerText
from pipeline.models.failures import (
    MAX_RESPONSE_BYTES,
    bad_response,
    endless,
    error_of,
    is_error,
    retry_after,
    status_inside,
    too_slow,
    unreachable,
)
from pipeline.models.sse import Event, EventParser

T = TypeVar("T")

# Seconds to open a connection. A server that is up accepts at once, so waiting as long as for an answer would
# only hide that it is down.
CONNECT_TIMEOUT = 10.0
# Seconds to wait for the end of a stream whose answer is complete. The connection can be used again only
# after it; a server that holds it open costs the person who waits no longer than this.
END_TIMEOUT = 0.2

_DONE = b"[DONE]"
# How a stream of events may begin, against a document; what a server says of its body is often wrong.
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LONGEST_FIELD = max(map(len, _FIELDS))
# Bytes of white space before a body that is still looked at.
_MAX_BLANK_BYTES = 4096


class Reader(Protocol):
    """Finds the answer's text in the payloads of one response, in the shapes of one protocol.

    Attributes:
        alive: whether the last payload shows that the model works, though it may hold no text to show.
        complete: whether the answer's end has come.
    """

    alive: bool
    complete: bool

    def read(self, payload: object) -> str:
        """Return the text in the next payload, in most cases a piece of the answer; it may be empty.

        Raises:
            ModelError: the payload says that the answer failed, or belongs to another protocol.
        """

    def done(self) -> None:
        """Take note that the stream is done: the server said so, or we want no more of it."""

    def check(self, *, empty: bool) -> None:
        """Say whether what came is an answer, after the last payload; `empty` when there was no text.

        Raises:
            ModelError: it is none, or only the beginning of one.
        """

    def hint(self, status: int, said: str) -> str:
        """Return what to look at when a request is refused with `status` and a body of `said`."""


@dataclass(frozen=True)
class Patience:
    """How long a server may be silent, in seconds.

    Attributes:
        first: before the first sign of an answer; of a server that doesn't stream, the whole answer.
        between: between two signs of a stream. What is no sign: comments, empty events.
    """

    first: float
    between: float


class Endpoint:
    """The address of a model.

    Args:
        url: where to post.
        token: sent as bearer token if given; never shown in an error.
        patience: how long the server may be silent.

    Raises:
        ValueError: `url` is none.
    """

    def __init__(self, url: str, *, token: str | None, patience: Patience) -> None:
        self.url = URL(url)
        self._token = token
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None
        self._headers = {"Accept": "text/event-stream, application/json", "Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
            # aiohttp refuses a request with two sorts of credentials; the token is the one set on purpose.
            self.url = self.url.with_user(None)

    async def stream(
        self, payload: Mapping[str, object], reader: Reader, text: AnswerText
    ) -> AsyncGenerator[str]:
        """Send `payload` and yield the answer's text, in non-empty pieces: what came together is one.

        Closing the generator, or cancelling a step of it, closes the connection unless the response has
        ended.

        Raises:
            ModelError: the answer failed, before its first piece or after some.
        """
        silence = _Silence(self._patience)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._open(payload, silence)
            if not 200 <= response.status < 300:
                raise await self._refusal(response, reader, silence)
            body = _Body(response, silence)
            while not (body.over or _is_complete(reader, text)):
                values = await body.next()
                pieces: list[str] = []
                failure: ModelError | None = None
                try:
                    for each in values:
                        pieces.append(text.push(self._read(each, response, reader, silence)))
                        if _is_complete(reader, text):
                            break
                except ModelError as exc:
                    failure = exc
                if piece := "".join(pieces):
                    yield piece
                if failure is not None:
                    raise failure
            if rest := text.finish():
                yield rest
            if not text.stopped:
                await body.drain()
            reader.check(empty=text.empty)
        finally:
            silence.close()
            if response is not None:
                # Does nothing when the response has ended: its connection is in the pool again by then.
                response.close()

    async def close(self) -> None:
        """Close the connections; a later `stream` opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        # Made at the first request because it belongs to the running loop.
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                # The caller bounds how many run at once; a second bound here would queue inside the timeout.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=min(CONNECT_TIMEOUT, self._patience.first)
                ),
            )
        return self._session

    async def _open(self, payload: Mapping[str, object], silence: _Silence) -> aiohttp.ClientResponse:
        # A redirected POST would lose its body (301, 302), so a redirect is reported, not followed.
        request = self._client().post(self.url, data=_encoded(payload), allow_redirects=False)
        try:
            return await silence.bounded(request)
        except (aiohttp.ClientError, OSError) as exc:
            raise _failure_of_http(exc) from exc

    async def _refusal(
        self, response: aiohttp.ClientResponse, reader: Reader, silence: _Silence
    ) -> ModelError:
        body = await _Body(response, silence).whole()
        said = body.decode("utf-8", "replace")
        try:
            decoded: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            decoded = said
        return self._error(response.status, decoded, response, reader.hint(response.status, said))

    def _read(
        self, payload: object, response: aiohttp.ClientResponse, reader: Reader, silence: _Silence
    ) -> str:
        if payload is _DONE:
            reader.done()
            return ""
        if isinstance(payload, _ErrorEvent):
            body = payload.body
            raise self._error(status_inside(body) if isinstance(body, dict) else 500, body, response)
        if is_error(payload):
            raise self._error(status_inside(payload), payload, response)
        piece = reader.read(payload)
        if reader.alive:
            silence.broken()
        return piece

    def _error(
        self, meaning: int, body: object, response: aiohttp.ClientResponse, hint: str = ""
    ) -> ModelError:
        wait = retry_after(response.headers.get("Retry-After"))
        return error_of(meaning, body, response.status, wait=wait, secret=self._token, hint=hint)


@dataclass(frozen=True, slots=True)
class _ErrorEvent:
    body: object


class _Silence:
    """Measures for how long we wait for the server; the time in which we don't read is not its fault."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._begun = False
        self._left = patience.first
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._limit = DeadlineTimer(loop)

    def broken(self) -> None:
        """Start anew: the model has given a sign."""
        self._begun = True
        self._left = self._patience.between

    async def bounded(self, step: Awaitable[T]) -> T:
        """Wait for `step`, as long as the server may be silent.

        Raises:
            ModelError: it was silent for too long.
        """
        since = self._clock()
        try:
            return await self._limit.wait(step, since + self._left)
        except DeadlineExceeded as exc:
            raise too_slow(self._complaint()) from exc
        finally:
            self._left -= self._clock() - since

    def close(self) -> None:
        """Measure no more."""
        self._limit.close()

    def _complaint(self) -> str:
        if self._begun:
            return f"The model fell silent for {self._patience.between:g} s in the middle of its answer"
        return f"The model gave no answer within {self._patience.first:g} s"


class _Body:
    """The body of a response, as the JSON values in it: those of its events, or the one document it is.

    Attributes:
        over: whether all values were returned.
    """

    def __init__(self, response: aiohttp.ClientResponse, silence: _Silence) -> None:
        self.over = False
        self._response = response
        self._silence = silence
        self._head = b""
        self._parser: EventParser | None = None

    async def next(self) -> Iterator[object]:
        """Return the values that came next, maybe none; one that is no JSON raises when its turn comes.

        Raises:
            ModelError: the connection broke, or what came is no JSON.
        """
        piece = await self._piece()
        self.over = not piece
        if self._parser is None:
            self._head += piece
            streamed = _is_stream(self._head, self._response.content_type, ended=self.over)
            if streamed is None:
                return iter(())
            if not streamed:
                document = await self.whole()
                self.over = True
                return iter((self._document(document),))
            self._parser = EventParser()
            piece, self._head = self._head, b""
        events = self._parser.feed(piece)
        if self.over and (last := self._parser.end()) and _is_whole(last):
            events.append(last)
        return map(self._value, events)

    async def whole(self) -> bytes:
        """Return the rest of the body at once."""
        body = bytearray(self._head)
        self._head = b""
        while piece := await self._piece():
            body += piece
            if len(body) > MAX_RESPONSE_BYTES:
                raise endless()
        return bytes(body)

    async def drain(self) -> None:
        """Wait for the body's end, for a moment, so that the connection can be used again."""
        try:
            begun = run_until_blocked(self._skip())
            if not isinstance(begun, tuple):
                async with asyncio.timeout(END_TIMEOUT):
                    await begun
        except (aiohttp.ClientError, OSError):
            pass  # TimeoutError is one of OSError; the answer is complete in each case

    async def _skip(self) -> None:
        while await self._response.content.readany():
            pass

    async def _piece(self) -> bytes:
        content = self._response.content
        try:
            # Most pieces have to be waited for; a long one comes in parts, of which the others are there.
            return content.read_nowait() or await self._silence.bounded(content.readany())
        except (aiohttp.ClientError, OSError) as exc:
            raise _failure_of_http(exc) from exc

    def _document(self, body: bytes) -> object:
        value = _decoded(body)
        if value is not None:
            return value[0]
        blank = not body.strip()
        what = "an empty body" if blank else self._response.content_type
        detail = f"The model server answered with {what} instead of JSON"
        raise bad_response(detail, retryable=blank, status=self._response.status)

    def _value(self, event: Event) -> object:
        if event.data.strip() == _DONE:
            return _DONE
        decoded = _decoded(event.data)
        if event.name == "error":
            return _ErrorEvent(decoded[0] if decoded else event.data.decode("utf-8", "replace"))
        if decoded is None:
            raise bad_response(
                "The model server sent an event that is not JSON", status=self._response.status
            )
        return decoded[0]


def _is_complete(reader: Reader, text: AnswerText) -> bool:
    """Return whether the answer is complete, whatever the server would add."""
    if text.stopped:
        reader.done()
    return reader.complete


def _is_whole(event: Event) -> bool:
    """Return whether an event at the end of a stream, without the blank line after it, is not cut short."""
    return event.data.strip() == _DONE or _decoded(event.data) is not None


def _is_stream(head: bytes, content_type: str, *, ended: bool) -> bool | None:
    """Return whether a body that begins with `head` is a stream of events; None when more must be seen."""
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin.startswith((b"{", b"[", b"<", b'"')):
        return False
    if begin.startswith(_FIELDS) or (begin and content_type == "text/event-stream"):
        return True
    return False if ended or len(begin) >= _LONGEST_FIELD or len(head) > _MAX_BLANK_BYTES else None


def _encoded(payload: Mapping[str, object]) -> bytes:
    """Return a request as JSON."""
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError:
        return json.dumps(payload).encode()  # which knows how to tell half a surrogate pair


def _decoded(data: bytes) -> tuple[object] | None:
    """Return the JSON value that `data` is, in a tuple; None when it is none."""
    try:
        return (orjson.loads(data),)
    except orjson.JSONDecodeError:
        pass
    try:
        # More lenient: half a surrogate pair, whose other half may come with the next piece, and bytes that
        # are no UTF-8.
        return (json.loads(data.decode("utf-8", "replace")),)
    except (ValueError, RecursionError):
        return None


def _failure_of_http(error: Exception) -> ModelError:
    """Return an error of aiohttp, or of the system, as one of ours."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return unreachable("The model server can't be reached: no connection in time")
        case aiohttp.ClientConnectorError():
            return unreachable("The model server can't be reached")
        case aiohttp.ClientResponseError():
            return bad_response("The model server answered with something that is not proper HTTP")
    return unreachable("The connection to the model server broke before it had answered")
