"""Read the errors of model servers, in all shapes in use; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

import orjson

from pipeline.models.error_codes import status_of

# Fields in which servers quote the refused request.
_QUOTES = frozenset({"input", "inputs", "messages", "prompt", "body", "request"})
#: The separator between an error's message and the complete body in ``whole_text``.
WHOLE_BODY: Final = "; body: "
_FIELDS_OF_CODE = (
    "code",
    "http_status_code",
    "status_code",
    "statusCode",
    "error_code",
    "errorCode",
    "status",
    "error_type",
    "errorType",
    "type",
    "reason",
)
# The fields that hold an error's message, the most usual first; some hold an object with a message.
_FIELDS_OF_MESSAGE = (
    "message",
    "error",
    "detail",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "Message",
    "status_msg",
    "faultstring",
    "fault",
    "base_resp",
    "errors",
    "description",
    "title",
)
# Fields that only errors have, and fields with the error of another server that a proxy passes on.
_ERROR_FIELDS = (
    "error",
    "errors",
    "detail",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_code",
    "errorCode",
    "errorType",
    "fault",
)
_FIELDS_OF_CAUSE = ("metadata", "raw", "innererror", "inner_error", "cause", "error", "details")
_MAX_DEPTH = 5


def unwrapped(payload: object) -> object:
    """Return the error in a list of one error, as Google sends it; any other value unchanged."""
    if isinstance(payload, list) and payload and is_error(payload[0]):
        return payload[0]
    return payload


def is_error(payload: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a body, or an event of a stream, is an error despite its successful status."""
    if not isinstance(payload, dict):
        return False
    if payload.get("choices") or "token" in payload:
        return "error" in payload and _is_filled(payload["error"])
    if any(payload.get(field) for field in _ERROR_FIELDS):
        return True
    if "error" in (payload.get("object"), payload.get("status"), payload.get("type"), payload.get("event")):
        return True
    if payload.get("success") is False or payload.get("ok") is False:
        return True
    response = payload.get("base_resp")
    if isinstance(response, dict) and response.get("status_code"):
        return True
    return _names_a_status(payload)


def _is_filled(error: object) -> bool:
    """Return whether the field ``error`` beside an answer is an error: some servers send an empty one."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _names_a_status(payload: dict[str, Any]) -> bool:
    """Return whether a body has a message beside a code, and nothing of an answer."""
    if not isinstance(payload.get("message", payload.get("msg")), str):
        return False
    code = payload.get("code", payload.get("status_code", payload.get("statusCode", payload.get("status"))))
    if isinstance(code, int) and code >= 400:  # beyond 599 it is the server's own number
        return True
    return (status_of(code) or 0) >= 400 or isinstance(payload.get("code"), str)


def status_inside(payload: object, default: int = 500) -> int:
    """Return the status that an error's body names by number or code, else ``default``."""
    best = default
    payload = unwrapped(payload)
    for value in _codes(payload):
        status = status_of(value)
        if status is not None and status != 400:
            return status
        best = status or best
    if isinstance(payload, dict) and "estimated_time" in payload:
        return 503
    return best


def server_message(body: object) -> str:
    """Return the message of an error's body, decoded JSON or text; empty when it has no message.

    The parameter and the code of the error follow in brackets.
    """
    match body:
        case {"error": {"message": str(text), **about}}:
            return _with_cause(_with_facts(text, about), about)
        case (
            {"error": str(text)} | {"error": [str(text), *_]} | {"message": str(text)} | {"detail": str(text)}
        ):
            return _with_facts(text, body if isinstance(body, dict) else {})
        case {"detail": {"message": str(text), **about}}:
            return _with_facts(text, about)
        case {"detail": [*problems]} | {"errors": [*problems]}:
            return "; ".join(filter(None, map(_problem, problems)))
        case str(text):
            return text
        case [first, *_]:
            return server_message(first)
    return _message_within(body)


def _message_within(value: object, depth: int = 0) -> str:
    """Return the first message in an error of an unusual shape; empty without one."""
    if isinstance(value, str):
        return value
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return next(filter(None, (_message_within(part, depth + 1) for part in value)), "")
    if not isinstance(value, dict):
        return ""
    for field in _FIELDS_OF_MESSAGE:
        if text := _message_within(value.get(field), depth + 1):
            return _with_facts(text, value) if isinstance(value[field], str) else text
    return ""


def _with_cause(text: str, about: Mapping[Any, object]) -> str:
    """Append the message of the server behind a proxy, which names the reason where the proxy does not."""
    for field in _FIELDS_OF_CAUSE:
        value = about.get(field)
        if field == "metadata":
            value = value.get("raw") if isinstance(value, dict) else None
        if isinstance(value, str):
            decoded = _decoded(value)
            value = value if decoded is None else decoded
        if cause := _message_within(value):
            return f"{text}: {cause}"
    return text


def _decoded(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def whole_text(body: object) -> str:
    """Return an error's message and its complete body, without quoted parts of the request."""
    message = server_message(body)
    if isinstance(body, str):
        return message
    try:
        whole = orjson.dumps(_without_request(body)).decode()
    except (orjson.JSONEncodeError, UnicodeDecodeError, RecursionError):
        return message
    return f"{message}{WHOLE_BODY}{whole}"


def _with_facts(text: str, about: Mapping[Any, object]) -> str:
    facts = [str(about[name]) for name in ("param", "code", "type", "error_type") if about.get(name)]
    return f"{text} ({', '.join(facts)})" if facts else text


def _problem(problem: object) -> str:
    match problem:
        case {"msg": str(message), "loc": [*place]}:
            return f"{message} ({'.'.join(map(str, place))})"
        case {"message": str(message)} | str(message):
            return message
    return ""


def _without_request(value: object) -> object:
    """Remove quoted parts of the request from a body, because people wrote them."""
    if isinstance(value, dict):
        return {name: _without_request(part) for name, part in value.items() if name not in _QUOTES}
    if isinstance(value, list):
        return [_without_request(part) for part in value]
    return value


def _codes(payload: object) -> Iterator[object]:
    if not isinstance(payload, dict):
        return
    inner, outer = payload.get("error"), payload.get("errors")
    listed = outer[0] if isinstance(outer, list) and outer else None
    for source in (inner, listed, payload.get("detail"), payload.get("base_resp"), payload):
        if isinstance(source, list) and source:
            source = source[0]
        if isinstance(source, dict):
            yield from (source[field] for field in _FIELDS_OF_CODE if field in source)
