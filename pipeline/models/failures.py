"""What a model server's failures mean: from statuses and bodies to `ModelError`, no I/O.

Whatever a server does wrong (no answer, half an answer, HTML, an error in any of the shapes in use) ends as a
`ModelError` whose detail is a line that the person who asked can read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

from pipeline.errors import ModelError, ModelErrorCode

# Bytes of one response that is no stream, and of one event of a stream. Far above any answer; without it a
# server that never ends fills our memory.
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


def bad_response(detail: str, *, retryable: bool = False, status: int | None = None) -> ModelError:
    """Return the error for a response that holds no answer in any shape we know."""
    return ModelError(ModelErrorCode.BAD_RESPONSE, detail, retryable, status)


def endless() -> ModelError:
    """Return the error for a response that is longer than any answer."""
    return bad_response("The model server's answer has no end")


def empty_answer() -> ModelError:
    """Return the error for an answer without text, which may have some next time."""
    return bad_response("The model gave an empty answer", retryable=True)


def broke_off() -> ModelError:
    """Return the error for an answer whose end is missing, though the connection closed in order."""
    return unreachable("The model server closed the connection before the answer was complete")


def unreachable(detail: str) -> ModelError:
    """Return the error for a server that is not there, or is gone."""
    return ModelError(ModelErrorCode.UNREACHABLE, detail, retryable=True)


def too_slow(detail: str) -> ModelError:
    """Return the error for a server that took too long."""
    return ModelError(ModelErrorCode.TIMEOUT, detail, retryable=True)


def error_of(
    meaning: int, body: object, status: int, *, wait: float | None, secret: str | None, hint: str = ""
) -> ModelError:
    """Return the error that a status stands for: in our words, then the server's own.

    Args:
        meaning: the status that tells what happened; `status` is the one that the response had.
        body: the response's body, decoded JSON or text.
        wait: seconds that the response's headers ask to wait.
        secret: what must not appear in the text.
        hint: what to look at, in words, put at the end.
    """
    code, retryable, text = _meaning(meaning)
    said = server_message(body)
    if said and secret:
        # Some servers quote the key that they refuse.
        said = said.replace(secret, "…")
    if isinstance(body, dict):
        wait = seconds(body.get("estimated_time")) or wait
    parts = (text, f": {said}" if said else "", f" (try again in {wait:.0f} s)" if wait else "", hint)
    return ModelError(code, "".join(parts), retryable, status, wait)


def server_message(body: object) -> str:
    """Return what an error's body says, on one line, or an empty string; `body` is decoded JSON or text."""
    match body:
        case {"error": {"message": str(text)}} | {"error": str(text)} | {"error": [str(text), *_]}:
            pass
        case {"message": str(text)} | {"detail": str(text)}:
            pass
        case {"detail": [{"msg": str(message), "loc": [*place]}, *_]}:
            text = f"{message} ({'.'.join(map(str, place))})"
        case str(text) if not re.search(r"<\w|<!", text):  # a page for browsers says nothing on one line
            pass
        case _:
            return ""
    line = " ".join(text.split())
    return line if len(line) <= MAX_SERVER_MESSAGE else line[: MAX_SERVER_MESSAGE - 1] + "…"


def status_inside(payload: Mapping[str, Any]) -> int:
    """Return the status that an error within a successful response should have had."""
    match payload:
        case {"error": {"code": int(code)}} | {"error": {"http_status_code": int(code)}} if 400 <= code < 600:
            return code
        case {"code": int(code)} | {"status": int(code)} if 400 <= code < 600:
            return code
        case {"estimated_time": _}:
            return 503
        case {"error_type": str(kind)}:
            return _STATUS_OF_ERROR_TYPE.get(kind, 500)
    return 500


def is_error(payload: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a body, or an event of a stream, is an error in spite of its successful status."""
    return isinstance(payload, dict) and (bool(payload.get("error")) or payload.get("object") == "error")


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait, given as a number or as a date."""
    if header is None:
        return None
    wait = seconds(header)
    if wait is None:
        try:
            wait = seconds(parsedate_to_datetime(header).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    return wait


def seconds(value: object) -> float | None:
    """Return a time to wait, or None if `value` is none."""
    if not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None


def _meaning(status: int) -> tuple[ModelErrorCode, bool, str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ModelErrorCode.ERROR, True, "The model server failed"
    if status < 400:
        return ModelErrorCode.REJECTED, False, "The model server redirects to another address"
    return ModelErrorCode.REJECTED, False, "The model server rejected the request"
