"""Turn the statuses and bodies of model servers into ``ModelError``; no I/O.

Every failure of a server (no answer, half an answer, HTML, an error in any shape) becomes a ``ModelError``.
Its ``detail`` is a line for the user, in Parley's own words. The server's words go into its ``report``, only
for the operator's log, because they may hold keys, hosts or control characters.
"""

from __future__ import annotations

import re

from pipeline.errors import MessageRefusal, ModelError, ModelErrorCode
from pipeline.models.error_bodies import server_message, status_inside, unwrapped, whole_text
from pipeline.models.error_waits import asked_wait
from pipeline.models.refusals import is_filtered, is_too_long, refuses_answer_length
from pipeline.models.server_text import clean_server_text

#: Maximum bytes of a response that is not a stream, and of one event of a stream: far above any answer, so
#: that a server that never ends can't fill the memory.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024

# The meaning of a status: the code, whether the same request may succeed later, and the text for the user.
_BY_STATUS: dict[int, tuple[ModelErrorCode, bool, str]] = {
    401: (ModelErrorCode.UNAUTHORIZED, False, "The model server does not accept this service's access token"),
    402: (ModelErrorCode.PAYMENT_REQUIRED, False, "The credit for the model is used up"),
    403: (
        ModelErrorCode.UNAUTHORIZED,
        False,
        "The model server does not allow this service to use the model",
    ),
    404: (ModelErrorCode.NOT_FOUND, False, "The model server does not know this model or address"),
    408: (ModelErrorCode.TIMEOUT, True, "The model server did not finish in time"),
    410: (ModelErrorCode.NOT_FOUND, False, "The model is no longer served at this address"),
    # 424: text-generation-inference failed while it generated; the request itself is valid.
    424: (ModelErrorCode.ERROR, True, "The model failed while it generated the answer"),
    429: (ModelErrorCode.RATE_LIMITED, True, "The model server has too many requests"),
    503: (ModelErrorCode.LOADING, True, "The model is loading or not available right now"),
    529: (ModelErrorCode.RATE_LIMITED, True, "The model server has too many requests"),
}
_OF_REFUSAL = {
    MessageRefusal.TOO_LONG: "The message is too long for this model",
    MessageRefusal.FILTERED: "The model server's content filter does not let this message through",
}

# Statuses with which servers refuse a request that is too long: 413 by proxies, 500 by llama.cpp's templates.
_REFUSING = frozenset({400, 413, 422, 500})
_LOADING = re.compile(
    r"(?<!over)(?<!work)(?<!up)(?<!down)load|warm|start|initiali[sz]|scal(?:e|ing)|spin|provision|\bboot"
    r"|not (?:yet )?ready|estimated_time",
    re.IGNORECASE,
)
# The same with other statuses than 503, which takes clearer words.
_MODEL_LOADING = re.compile(
    r"\b(?:model|server|engine|worker|endpoint|container|replica|instance)s?\b.{0,80}"
    r"\b(?:loading|warming|initiali[sz]ing|starting|booting|spinning up|scaling (?:up|from)"
    r"|not (?:yet )?(?:ready|loaded))\b"
    r"|\b(?:loading|warming up|starting|initiali[sz]ing) (?:the |this )?(?:model|server|engine)",
    re.IGNORECASE,
)
_LOADING_STATUSES = frozenset({409, 425, 429, 500, 502, 503, 504})
# Waiting does not help if the model can't be loaded at all.
_NOT_LOADING = re.compile(
    r"\b(?:fail|unable|cannot|can't|could not|couldn't|no such|error (?:while |when )?(?:load|start|init))",
    re.IGNORECASE,
)


def bad_response(
    detail: str, *, retryable: bool = False, status: int | None = None, report: str = ""
) -> ModelError:
    """Return the error for a response that holds no answer in any known shape."""
    return ModelError(ModelErrorCode.BAD_RESPONSE, detail, retryable, status, report=report)


def endless() -> ModelError:
    """Return the error for a response that is longer than any answer."""
    return bad_response("The model server's answer has no end")


def empty_answer() -> ModelError:
    """Return the error for an answer without text, which a retry may have."""
    return bad_response("The model gave an empty answer", retryable=True)


def empty_stream() -> ModelError:
    """Return the error for a stream that ends before its first value, which a retry may have."""
    return bad_response("The model server ended the stream before its answer began", retryable=True)


def broke_off() -> ModelError:
    """Return the error for an answer whose end is missing although the connection closed in order."""
    return unreachable("The model server closed the connection before the answer was complete")


def unreachable(detail: str, *, retryable: bool = True, report: str = "") -> ModelError:
    """Return the error for a server that can't be reached or has closed the connection."""
    return ModelError(ModelErrorCode.UNREACHABLE, detail, retryable, report=report)


def too_slow(detail: str) -> ModelError:
    """Return the error for a server that took too long."""
    return ModelError(ModelErrorCode.TIMEOUT, detail, retryable=True)


def error_of(
    meaning: int,
    body: object,
    status: int,
    *,
    retry_after: str | None = None,
    secret: str | None = None,
    hint: str = "",
    note: str = "",
) -> ModelError:
    """Return the error for a response.

    Args:
        meaning: the status of the cause; ``status`` is the status of the response.
        body: the response's body or an event's payload, decoded JSON or text.
        retry_after: the header ``Retry-After``, or ``Retry-After-Ms`` in seconds.
        secret: the token of the request, which is removed from the report.
        hint: the setting to check, appended to the detail.
        note: facts for operators only, appended to the report.
    """
    body = unwrapped(body)
    message, said = server_message(body), whole_text(body)
    if _is_loading(meaning, message, message):
        meaning = 503
    code, retryable, text = _meaning(meaning)
    refusal = _refusal(meaning, message)
    wait = None
    if refusal is not None:
        code, retryable, text, hint = ModelErrorCode.REJECTED, False, _OF_REFUSAL[refusal], ""
    else:
        wait = asked_wait(body, retry_after)
    report = clean_server_text(said, secret=secret)
    return ModelError(
        code,
        f"{text} (try again in {wait:.0f} s)" if wait else f"{text}{hint}",
        retryable,
        status,
        wait,
        report=f"the server's words: {report or 'none'}{note}",
        message=clean_server_text(message, secret=secret),
        loading=code is ModelErrorCode.LOADING and bool(wait or _is_loading(meaning, message, said)),
        refusal=refusal,
    )


def _is_loading(meaning: int, message: str, said: str) -> bool:
    """Return whether a server is up but still loads its model; ``said`` is what may show it."""
    if meaning not in _LOADING_STATUSES or _NOT_LOADING.search(message):
        return False
    return bool((_LOADING if meaning == 503 else _MODEL_LOADING).search(said))


def _refusal(meaning: int, said: str) -> MessageRefusal | None:
    if meaning == 413:
        return MessageRefusal.TOO_LONG
    if meaning not in _REFUSING:
        return None
    if is_too_long(said):
        return None if refuses_answer_length(said) else MessageRefusal.TOO_LONG
    return MessageRefusal.FILTERED if is_filtered(said) else None


def meaning_of(status: int, body: object) -> int:
    """Return the status of a refusal's cause, from a code in its body if that is more precise."""
    inside = status_inside(body, status)
    if status < 400 or inside < 400:
        return status
    # The same class of status, or a cause with a text of its own: used-up credit as 429, a refused key as
    # 400.
    if inside // 100 == status // 100 or inside in (401, 402, 404, 429):
        return inside
    return status


def _meaning(status: int) -> tuple[ModelErrorCode, bool, str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ModelErrorCode.ERROR, True, "The model server failed"
    if status < 400:
        return ModelErrorCode.REJECTED, False, "The model server redirects to another address"
    return ModelErrorCode.REJECTED, False, "The model server rejected the request"
