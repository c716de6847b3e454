"""One HTTP endpoint that takes JSON and answers with a stream of JSON, or with one JSON document.

Connections are kept and reused. A `Reader` finds the answer in the payloads; every failure of HTTP ends here,
as a `ModelError`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

import aiohttp
import orjson
from yarl import URL

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.addresses import probable_url
from pipeline.models.answer import Answer
from pipeline.models.base import AnswerPart, Usage
from pipeline.models.connect_failures import CONNECT_TIMEOUT, explained, failure_of_http
from pipeline.models.error_bodies import is_error, status_inside
from pipeline.models.failures import error_of, meaning_of
from pipeline.models.response_body import ErrorEvent, Mark, ResponseBody, decoded_json
from pipeline.models.server_text import clean_server_text
from pipeline.models.silence import Patience, SilenceTimer

# Seconds to go on reading once a server has given the reason for the answer's end. Text may follow it; the
# true end is `[DONE]`, or the connection's end, and servers that keep both back cost no more than this.
LINGER = 1.0
# Bytes of a line or field of the response's head; gateways add cookies, policies and traces of many KB.
MAX_HEADER_BYTES = 128 * 1024


class Reader(Protocol):
    """Finds the answer's text in the payloads of one response, in the shapes of one protocol.

    Attributes:
        alive: whether the last payload shows that the model works, though it may hold no text to show.
        thought: the thought in the last payload, in most cases empty.
        complete: whether a reason for the answer's end has come; text may follow all the same.
        contradicted: whether text did follow, so that the reason means nothing.
        ended: whether the stream is done.
        cut_short: whether the model had to end before it was done.
        usage: the tokens of the call, None while they are not known.
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
        """Return the text in the next payload, in most cases a piece of the answer; it may be empty.

        Raises:
            ModelError: the payload is an error, or belongs to another protocol.
        """

    def done(self) -> None:
        """Note that the stream is done: its end has come, or the rest is not needed."""

    def check(self, *, empty: bool) -> None:
        """Check that what came is an answer, after the last payload; `empty` when there was no text.

        Raises:
            ModelError: it is none, or only the beginning of one.
        """

    def hint(self, status: int, said: str) -> str:
        """Return the setting to look at when a request is refused with `status` and a body of `said`."""


class Endpoint:
    """The address of a model.

    Args:
        url: where to post.
        token: sent as bearer token if given; never shown in an error.
        patience: how long the server may be silent.
        proxy: the proxy to go through, None for none.

    Raises:
        ValueError: `url` is none.
    """

    def __init__(self, url: str, *, token: str | None, patience: Patience, proxy: URL | None = None) -> None:
        self.url = URL(url)
        self._token = token
        self._patience = patience
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None
        self._headers = {"Accept": "text/event-stream, application/json", "Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
            # aiohttp refuses a request with two sorts of credentials; the token is the one set on purpose.
            self.url = self.url.with_user(None)

    async def stream(
        self,
        payload: Mapping[str, object],
        reader: Reader,
        answer: Answer,
        on_taken: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[AnswerPart]:
        """Send `payload` and yield the answer's parts as they come: what came together is one.

        `on_taken` is called when the server does not refuse the request.

        Closing the generator, or cancelling a step of it, closes the connection unless the response has
        ended.

        Raises:
            ModelError: the answer failed, before its first piece or after some.
        """
        silence = SilenceTimer(self._patience)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._open(payload, silence)
            if not 200 <= response.status < 300:
                raise await self._refusal(response, reader, silence)
            on_taken()
            body = ResponseBody(response, silence, secret=self._token)
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
                # Does nothing when the response has ended: its connection is in the pool again by then.
                response.close()

    async def _read_next(
        self,
        body: ResponseBody,
        response: aiohttp.ClientResponse,
        reader: Reader,
        answer: Answer,
        silence: SilenceTimer,
    ) -> ModelError | None:
        """Read the values that came together; return the error that ends the answer, if there is one."""
        try:
            for value in await body.next():
                self._read(value, response, reader, answer)
                if reader.alive:
                    silence.restart()
                if _needs_no_more(reader, answer):
                    break
        except ModelError as exc:
            return exc
        return None

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
                    # A little less than the wait for the whole response, so that the cause is named.
                    total=None,
                    sock_connect=min(CONNECT_TIMEOUT, 0.9 * self._patience.first),
                ),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=1024,
            )
        return self._session

    async def _open(self, payload: Mapping[str, object], silence: SilenceTimer) -> aiohttp.ClientResponse:
        # A redirected POST would lose its body (301, 302), or carry the token to another host, so a redirect
        # is reported, not followed.
        request = self._client().post(
            self.url, data=_encoded(payload), allow_redirects=False, proxy=self._proxy
        )
        try:
            return await silence.bounded(request)
        except (aiohttp.ClientError, OSError) as exc:
            failure = failure_of_http(exc, self.url)
            if self._proxy is None:
                failure = await explained(failure, exc, self.url)
            raise failure from exc

    async def _refusal(
        self, response: aiohttp.ClientResponse, reader: Reader, silence: SilenceTimer
    ) -> ModelError:
        body = await ResponseBody(response, silence, secret=self._token).whole()
        said = body.decode("utf-8", "replace")
        decoded = decoded_json(body)
        content: object = decoded[0] if decoded else said
        hint = reader.hint(response.status, said)
        note = self._note(hint)
        if location := response.headers.get("Location"):
            note += f"; it redirects to {clean_server_text(location, secret=self._token, limit=300)}"
        return self._error(meaning_of(response.status, content), content, response, hint, note)

    def _note(self, words: str) -> str:
        """Return the address that probably works, for the log, when our words name the setting."""
        probable = probable_url(self.url)
        return (
            f"; MODEL_URL={probable} may work" if "MODEL_URL" in words and probable != str(self.url) else ""
        )

    def _read(self, value: object, response: aiohttp.ClientResponse, reader: Reader, answer: Answer) -> None:
        if not isinstance(value, dict):
            if isinstance(value, Mark):
                if value is Mark.DONE:
                    reader.done()
                return
            if isinstance(value, ErrorEvent):
                raise self._error(status_inside(value.body), value.body, response)
        elif is_error(value):
            raise self._error(status_inside(value), value, response)
        text = reader.read(value)
        if reader.thought:
            answer.add_thought(reader.thought)
        if text:
            answer.add_text(text)

    def _error(
        self, meaning: int, body: object, response: aiohttp.ClientResponse, hint: str = "", note: str = ""
    ) -> ModelError:
        return error_of(
            meaning,
            body,
            response.status,
            retry_after=response.headers.get("Retry-After"),
            secret=self._token,
            hint=hint,
            note=note,
        )


def _needs_no_more(reader: Reader, answer: Answer) -> bool:
    return reader.ended or answer.stopped


def _is_only_the_end(failure: ModelError, reader: Reader) -> bool:
    """Return whether the connection broke or fell silent when the reason for the end had come."""
    return reader.complete and failure.code in (ModelErrorCode.UNREACHABLE, ModelErrorCode.TIMEOUT)


def _encoded(payload: Mapping[str, object]) -> bytes:
    """Return a request as JSON."""
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError:
        return json.dumps(payload).encode()  # which can write half a surrogate pair


def _check_end(reader: Reader, answer: Answer, body: ResponseBody) -> None:
    """Check an answer that has ended.

    Raises:
        ModelError: It is not whole; the report names the lines that were ignored.
    """
    try:
        reader.check(empty=answer.empty)
    except ModelError as exc:
        if ignored := body.ignored:
            exc.report = exc.report or f"the stream held: {ignored}"
        raise
