"""Post JSON to an HTTP endpoint that answers with a stream of JSON or with one JSON document.

Connections are reused. A ``Reader`` finds the answer in the payloads; every HTTP failure becomes a
``ModelError`` here.
"""

from __future__ import annotations

import json
from asyncio import Future
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Protocol

import aiohttp
import orjson
from yarl import URL

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.addresses import probable_url
from pipeline.models.answer import Answer
from pipeline.models.base import AnswerPart, Usage, read_at_once
from pipeline.models.connect_failures import (
    CONNECT_TIMEOUT,
    explained,
    failure_of_http,
    failure_of_plain_http,
)
from pipeline.models.error_bodies import is_error, status_inside, unwrapped
from pipeline.models.error_waits import seconds
from pipeline.models.failures import error_of, meaning_of
from pipeline.models.posting import Poster, Response
from pipeline.models.response_body import ErrorEvent, Mark, ResponseBody, decoded_json
from pipeline.models.server_text import clean_server_text
from pipeline.models.silence import Patience, SilenceTimer

#: Seconds to read on after a server has sent the reason for the answer's end, because text may follow. The
#: true end is ``[DONE]`` or the end of the connection; servers that send neither cost no more than this.
LINGER = 1.0
_NO_MORE = object()


class Reader(Protocol):
    """Read the answer's text from the payloads of one response, in the shapes of one protocol.

    Attributes:
        alive: whether the last payload shows that the model works, even without text.
        thought: the thought in the last payload, mostly empty.
        complete: whether a reason for the answer's end has come; text may still follow.
        contradicted: whether text did follow, which makes the reason meaningless.
        ended: whether the stream is done.
        cut_short: whether the model reached its token limit before it was done.
        usage: the token counts of the call, None while unknown.
    """

    alive: bool
    thought: str
    complete: bool
    contradicted: bool
    ended: bool
    usage: Usage | None

    @property
    def cut_short(self) -> bool: ...

    def read(self, payload: object) -> str:
        """Return the text in the next payload, mostly a piece of the answer; it may be empty.

        Raises:
            ModelError: the payload is an error, or belongs to another protocol.
        """

    def read_pieces(self, payloads: Iterator[object]) -> tuple[list[str], Iterator[object]]:
        """Read payloads up to the first one that holds more than a piece of the answer, at less cost.

        Returns:
            The texts of these payloads, none of them empty; and the payloads from that one on.
        """

    def done(self) -> None:
        """Record that the stream is done: its end has come, or the rest is not needed."""

    def check(self, *, empty: bool) -> None:
        """Check after the last payload that there is a complete answer; ``empty`` if there was no text.

        Raises:
            ModelError: there is no answer, or only its beginning.
        """

    def hint(self, status: int, said: str) -> str:
        """Return a hint on the setting to check after a refusal with ``status`` and the text ``said``."""


class Endpoint:
    """Call the HTTP address of a model.

    Args:
        url: the URL to post to.
        token: the bearer token, None for a server without authentication; errors never include it.
        patience: the limits on the server's silence.
        proxy: the proxy to use, None for a direct connection.

    Raises:
        ValueError: ``url`` is not a URL.
    """

    def __init__(self, url: str, *, token: str | None, patience: Patience, proxy: URL | None = None) -> None:
        self.url = URL(url)
        self._token = token
        self._patience = patience
        self._proxy = proxy
        headers = {"Accept": "text/event-stream, application/json", "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
            # Instead of credentials in the URL; the explicit token takes precedence.
            self.url = self.url.with_user(None)
        # Slightly shorter than the wait for the response, so that the error names the cause.
        connect_timeout = min(CONNECT_TIMEOUT, 0.9 * patience.first)
        self._poster = Poster(self.url, headers, proxy=proxy, connect_timeout=connect_timeout)

    async def stream(
        self,
        payload: Mapping[str, object],
        reader: Reader,
        answer: Answer,
        on_taken: Callable[[], None] = lambda: None,
        rest: Callable[[], Future[None] | None] = read_at_once,
    ) -> AsyncGenerator[AnswerPart]:
        """Send ``payload`` and yield the answer's parts as they come, joined if they came together.

        ``on_taken`` is called when the server accepts the request. For ``rest`` see ``ModelRequest``.

        Closing the generator, or cancelling a step of it, closes the connection unless the response has
        ended.

        Raises:
            ModelError: the answer failed, before or after its first piece.
        """
        silence = SilenceTimer(self._patience)
        response: Response | None = None
        try:
            response = await self._open(payload, silence)
            if not 200 <= response.status < 300:
                raise await self._refusal(response, reader, silence)
            on_taken()
            body = ResponseBody(response, silence, secret=self._token, rest=rest)
            lingered = False
            while not (body.over or _needs_no_more(reader, answer)):
                failure = await self._read_next(body, response, reader, answer, silence)
                for part in answer.take():
                    yield part
                if failure is not None:
                    failure.report = (failure.report + self._note(failure.detail)).removeprefix("; ")
                    if not _is_only_the_end(failure, reader):
                        raise failure
                    lingered = True
                    break
                if reader.complete and not reader.contradicted and not answer.empty:
                    silence.linger(LINGER)
            if answer.stopped:
                reader.done()
            elif not lingered:
                await body.drain()
            answer.finish(cut_short=reader.cut_short)
            for part in answer.take():
                yield part
            if reader.usage is not None:
                yield reader.usage
            _check_end(reader, answer, body)
        finally:
            silence.close()
            if response is not None:
                # Without effect after the end of the response, whose connection is in the pool again.
                response.close()

    async def _read_next(
        self,
        body: ResponseBody,
        response: Response,
        reader: Reader,
        answer: Answer,
        silence: SilenceTimer,
    ) -> ModelError | None:
        """Read the values that came together; return the error that ends the answer, None for no error."""
        try:
            if self._read_values(await body.next(), response, reader, answer):
                silence.restart()
        except ModelError as exc:
            return exc
        return None

    def _read_values(
        self, values: Iterator[object], response: Response, reader: Reader, answer: Answer
    ) -> bool:
        """Read values until the answer needs no more; return whether one of them shows that the model works.

        Raises:
            ModelError: a value ends the answer; the text before it was added.
        """
        alive = False
        pieces: list[str] = []
        joins = answer.joins
        try:
            while True:
                if joins:
                    texts, values = reader.read_pieces(values)
                    pieces += texts
                    alive = alive or bool(texts)
                value = next(values, _NO_MORE)
                if value is _NO_MORE:
                    break
                value = self._checked(value, response)
                if value is Mark.DONE:
                    reader.done()
                    break
                if value is Mark.ALIVE:
                    continue
                text = reader.read(value)
                if reader.thought:
                    _add_joined(answer, pieces)
                    answer.add_thought(reader.thought)
                if text and joins:
                    pieces.append(text)
                elif text:
                    answer.add_text(text)
                    joins = answer.joins
                alive = alive or reader.alive
                if reader.ended or answer.stopped:
                    break
        finally:
            _add_joined(answer, pieces)
        return alive

    async def close(self) -> None:
        """Close the connections; a later ``stream`` opens new ones."""
        await self._poster.close()

    async def _open(self, payload: Mapping[str, object], silence: SilenceTimer) -> Response:
        # Redirects are reported, not followed, because a redirected POST would lose its body (301, 302) or
        # send the token to another host.
        try:
            return await silence.bounded(self._poster.post(_encoded(payload)))
        except (aiohttp.ClientError, OSError) as exc:
            raise await self._failure(exc) from exc

    async def _failure(self, error: aiohttp.ClientError | OSError) -> ModelError:
        failure = failure_of_http(error, self.url)
        return await explained(failure, error, self.url) if self._proxy is None else failure

    async def _refusal(self, response: Response, reader: Reader, silence: SilenceTimer) -> ModelError:
        body = await ResponseBody(response, silence, secret=self._token).whole()
        said = body.decode("utf-8", "replace")
        if failure := failure_of_plain_http(response.status, said, self.url):
            return failure
        decoded = decoded_json(body)
        content: object = decoded[0] if decoded else said
        hint = reader.hint(response.status, said)
        note = self._note(hint)
        if location := response.headers.get("Location"):
            note += f"; it redirects to {clean_server_text(location, secret=self._token, limit=300)}"
        return self._error(meaning_of(response.status, content), content, response, hint, note)

    def _note(self, words: str) -> str:
        """Return the address that probably works, for the log, if ``words`` name the setting."""
        probable = probable_url(self.url)
        return (
            f"; MODEL_URL={probable} may work" if "MODEL_URL" in words and probable != str(self.url) else ""
        )

    def _checked(self, value: object, response: Response) -> object:
        """Return a value for the reader, or a ``Mark``.

        Raises:
            ModelError: the value is an error.
        """
        if isinstance(value, dict) and not is_error(value):
            return value
        value = unwrapped(value)
        if isinstance(value, ErrorEvent):
            raise self._error(status_inside(value.body), value.body, response)
        if is_error(value):
            raise self._error(status_inside(value), value, response)
        return value

    def _error(
        self, meaning: int, body: object, response: Response, hint: str = "", note: str = ""
    ) -> ModelError:
        return error_of(
            meaning,
            body,
            response.status,
            retry_after=_asked_wait(response),
            secret=self._token,
            hint=hint,
            note=note,
        )


def _asked_wait(response: Response) -> str | None:
    """Return the wait in the response's head, as a number of seconds or as a date."""
    if milliseconds := seconds(response.headers.get("Retry-After-Ms")):
        return str(milliseconds / 1000)
    return response.headers.get("Retry-After")


def _add_joined(answer: Answer, pieces: list[str]) -> None:
    """Add pieces that came together as one, which costs as much as one of them; empty the list."""
    if pieces:
        text = "".join(pieces)
        pieces.clear()
        answer.add_text(text)


def _needs_no_more(reader: Reader, answer: Answer) -> bool:
    return reader.ended or answer.stopped


def _is_only_the_end(failure: ModelError, reader: Reader) -> bool:
    """Return whether the connection failed only after the reason for the answer's end had come."""
    return reader.complete and failure.code in (ModelErrorCode.UNREACHABLE, ModelErrorCode.TIMEOUT)


def _encoded(payload: Mapping[str, object]) -> bytes:
    """Encode a request as JSON."""
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError:
        # Half a surrogate pair, which orjson and many servers refuse; it becomes a question mark.
        return json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")


def _check_end(reader: Reader, answer: Answer, body: ResponseBody) -> None:
    """Check an answer after its end.

    Raises:
        ModelError: the answer is not complete; the report holds the ignored lines.
    """
    try:
        reader.check(empty=answer.empty)
    except ModelError as exc:
        if ignored := body.ignored:
            exc.report = exc.report or f"the stream held: {ignored}"
        raise
