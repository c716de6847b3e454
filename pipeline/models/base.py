"""What every model client shares: the question, the answer's shape, and one HTTP endpoint that speaks JSON.

Whatever a server does wrong (no answer, half an answer, HTML, an error in any of the shapes in use) leaves
this module as a `ModelError`, whose detail is a line that the person who asked can read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import aiohttp
import orjson
from yarl import URL

from pipeline.errors import ModelError, ModelErrorCode

HUMAN_PREFIX = "Human:"
BOT_PREFIX = "Bot:"

# Seconds to open a connection. A server that is up accepts at once, so waiting for the whole answer's
# timeout would only hide that it is down.
CONNECT_TIMEOUT = 10.0
# Bytes of one response. Far above any answer; without it a server that never ends fills our memory.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
# Characters of the server's own words that go into an error's detail: a sentence or two, not a stack trace.
MAX_SERVER_MESSAGE = 200

# What a status means: the code, whether the same request may succeed later, and the words for the user.
_BY_STATUS: dict[int, tuple[ModelErrorCode, bool, str]] = {
    401: (ModelErrorCode.UNAUTHORIZED, False, "The model server does not accept this service's access token"),
    402: (ModelErrorCode.PAYMENT_REQUIRED, False, "The credit for the model is used up"),
    403: (ModelErrorCode.UNAUTHORIZED, False, "The model server does not let this service use the model"),
    404: (ModelErrorCode.NOT_FOUND, False, "The model server does not know this model or address"),
    408: (ModelErrorCode.TIMEOUT, True, "The model server did not finish in time"),
    410: (ModelErrorCode.NOT_FOUND, False, "The model is no longer served at this address"),
    # 424 is how text-generation-inference says that the generation itself failed, not the request.
    424: (ModelErrorCode.ERROR, True, "The model failed while it generated the answer"),
    429: (ModelErrorCode.RATE_LIMITED, True, "The model server has too many requests"),
    503: (ModelErrorCode.LOADING, True, "The model is loading or not available right now"),
}

# The `error_type` of text-generation-inference, which stands in for a status where that one says 200.
_STATUS_OF_ERROR_TYPE = {
    "overloaded": 429,
    "validation": 422,
    "generation": 424,
    "incomplete_generation": 424,
}


@dataclass(frozen=True)
class ModelRequest:
    """One question to a model.

    Attributes:
        prompt: the text to continue, for text generation.
        context: the last messages, oldest first, each `Human: …` or `Bot: …`; the new one is the last.
    """

    prompt: str
    context: tuple[str, ...]


class Model(Protocol):
    """Something that answers; one instance serves many requests at once in one event loop."""

    @property
    def name(self) -> str:
        """What to call it in logs and in the UI."""

    @property
    def kind(self) -> str:
        """The value of MODEL_KIND that chooses it."""

    async def answer(self, request: ModelRequest) -> str:
        """Return the answer, never empty. Cancelling closes the call to the server.

        Raises:
            ModelError: there is no usable answer.
        """

    async def close(self) -> None:
        """Close the connections; may be called twice."""


def clean_answer(generated: str) -> str:
    """Return the generated text up to the first `Human:`, where the model starts to speak for the user."""
    return generated.partition(HUMAN_PREFIX)[0].strip()


def bad_response(detail: str, *, retryable: bool = False, status: int | None = None) -> ModelError:
    """Return the error for a response that holds no answer in any shape we know."""
    return ModelError(ModelErrorCode.BAD_RESPONSE, detail, retryable, status)


class JsonEndpoint:
    """A URL that takes JSON by POST and answers with JSON, over connections that are kept and reused.

    Args:
        url: where to post.
        token: sent as bearer token if given; never shown in an error.
        timeout: seconds for one whole exchange, from the first byte sent to the last one read.
    """

    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        self.url = URL(url)
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(CONNECT_TIMEOUT, timeout))
        self._session: aiohttp.ClientSession | None = None
        if token:
            # aiohttp refuses a request with two sorts of credentials; the token is the one set on purpose.
            self.url = self.url.with_user(None)

    async def post(self, payload: Mapping[str, object]) -> object:
        """Send `payload` and return the decoded body of a successful response.

        Raises:
            ModelError: anything else happened.
        """
        try:
            # A redirected POST would lose its body (301, 302), so a redirect is reported, not followed.
            async with self._client().post(self.url, json=payload, allow_redirects=False) as response:
                body = await _read(response)
        except aiohttp.ConnectionTimeoutError as exc:
            raise _unreachable("The model server can't be reached: no connection in time") from exc
        except TimeoutError as exc:
            detail = f"The model gave no answer within {self._timeout.total:g} s"
            raise ModelError(ModelErrorCode.TIMEOUT, detail, retryable=True) from exc
        except aiohttp.ClientConnectorError as exc:
            raise _unreachable("The model server can't be reached") from exc
        except aiohttp.ClientResponseError as exc:
            raise bad_response("The model server answered with something that is not proper HTTP") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise _unreachable("The connection to the model server broke before it had answered") from exc
        if not 200 <= response.status < 300:
            self._raise_for(response.status, _decode(body), response.status, _retry_after(response))
        return self._payload(body, response)

    async def close(self) -> None:
        """Close the connections; a later `post` opens new ones."""
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
                headers={"Authorization": f"Bearer {self._token}"} if self._token else None,
                timeout=self._timeout,
            )
        return self._session

    def _payload(self, body: bytes, response: aiohttp.ClientResponse) -> object:
        try:
            payload: object = orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            what = response.content_type if body else "an empty body"
            raise bad_response(
                f"The model server answered with {what} instead of JSON", status=response.status
            ) from exc
        if isinstance(payload, dict) and payload.get("error"):
            self._raise_for(_status_inside(payload), payload, response.status, _retry_after(response))
        return payload

    def _raise_for(self, meaning: int, body: object, status: int, wait: float | None) -> NoReturn:
        """Raise what the status `meaning` stands for, in our words, then the server's own."""
        code, retryable, text = _meaning(meaning)
        said = server_message(body)
        if said and self._token:
            # Some servers quote the key that they refuse.
            said = said.replace(self._token, "…")
        if isinstance(body, dict):
            wait = _seconds(body.get("estimated_time")) or wait
        detail = text + (f": {said}" if said else "") + (f" (try again in {wait:.0f} s)" if wait else "")
        raise ModelError(code, detail, retryable, status)


def server_message(body: object) -> str:
    """Return what an error's body says, on one line, or an empty string; `body` is decoded JSON or text."""
    match body:
        case {"error": {"message": str(text)}} | {"error": str(text)} | {"error": [str(text), *_]}:
            pass
        case {"message": str(text)} | {"detail": str(text)}:
            pass
        case str(text) if not re.search(r"<\w|<!", text):  # a page for browsers says nothing on one line
            pass
        case _:
            return ""
    line = " ".join(text.split())
    return line if len(line) <= MAX_SERVER_MESSAGE else line[: MAX_SERVER_MESSAGE - 1] + "…"


def _meaning(status: int) -> tuple[ModelErrorCode, bool, str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ModelErrorCode.ERROR, True, "The model server failed"
    if status < 400:
        return ModelErrorCode.REJECTED, False, "The model server redirects to another address"
    return ModelErrorCode.REJECTED, False, "The model server rejected the request"


def _status_inside(payload: Mapping[str, Any]) -> int:
    """Return the status that an error within a successful response should have had."""
    match payload:
        case {"error": {"code": int(code)}} | {"error": {"http_status_code": int(code)}} if 400 <= code < 600:
            return code
        case {"estimated_time": _}:
            return 503
        case {"error_type": str(kind)}:
            return _STATUS_OF_ERROR_TYPE.get(kind, 500)
    return 500


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise bad_response("The model server's answer has no end", status=response.status)
    return bytes(body)


def _decode(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    # The header's other form, a date, is not worth a sentence here: it depends on two clocks.
    return _seconds(response.headers.get("Retry-After"))


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def _unreachable(detail: str) -> ModelError:
    return ModelError(ModelErrorCode.UNREACHABLE, detail, retryable=True)
