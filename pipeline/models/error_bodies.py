"""Read the errors of model servers, in all shapes in use; no I/O."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeGuard

import orjson

# The statuses for codes and types of errors, in snake case. Servers send codes where an error has no status
# of its own (within a stream), or next to a less precise status.
_STATUS_OF_CODE: Final = {
    **dict.fromkeys(
        (
            "bad_request",
            "content_filter",
            "content_policy_violation",
            "context_length_exceeded",
            "exceed_context_size_error",
            "failed_precondition",
            "invalid_argument",
            "invalid_request",
            "invalid_request_error",
            "bad_request_error",
        ),
        400,
    ),
    **dict.fromkeys(
        (
            "authentication_error",
            "invalid_api_key",
            "unauthenticated",
            "unauthorized",
            "invalid_authentication",
        ),
        401,
    ),
    **dict.fromkeys(
        (
            "billing_hard_limit_reached",
            "billing_not_active",
            "insufficient_balance",
            "insufficient_credits",
            "insufficient_quota",
            "payment_required",
        ),
        402,
    ),
    **dict.fromkeys(("access_denied", "forbidden", "permission_denied", "permission_error"), 403),
    **dict.fromkeys(("model_not_found", "not_found", "not_found_error", "deployment_not_found"), 404),
    **dict.fromkeys(("request_timeout", "timeout", "timeout_error"), 408),
    "validation": 422,
    "generation": 424,
    "incomplete_generation": 424,
    **dict.fromkeys(
        (
            "engine_overloaded",
            "engine_overloaded_error",
            "overloaded",
            "overloaded_error",
            "rate_limit",
            "rate_limit_error",
            "rate_limit_exceeded",
            "rate_limit_reached",
            "rate_limited",
            "resource_exhausted",
            "server_overloaded",
            "throttling_error",
            "too_many_requests",
        ),
        429,
    ),
    **dict.fromkeys(
        ("api_error", "internal", "internal_error", "internal_server_error", "server_error"), 500
    ),
    **dict.fromkeys(
        ("model_loading", "loading", "service_unavailable", "unavailable", "unavailable_error"), 503
    ),
    **dict.fromkeys(("deadline_exceeded", "gateway_timeout"), 504),
}
# Fields in which servers quote the refused request.
_QUOTES = frozenset({"input", "inputs", "messages", "prompt", "body", "request"})
#: The separator between an error's message and the complete body in ``whole_text``.
WHOLE_BODY: Final = "; body: "
_FIELDS_OF_CODE = ("code", "http_status_code", "status_code", "status", "error_type", "type")


def is_error(payload: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a body, or an event of a stream, is an error despite its successful status."""
    if not isinstance(payload, dict):
        return False
    if "choices" in payload:
        return bool(payload.get("error"))
    if payload.get("error") or payload.get("errors"):
        return True
    return "error" in (payload.get("object"), payload.get("status"), payload.get("type"))


def status_inside(payload: object, default: int = 500) -> int:
    """Return the status that an error's body names by number or code, else ``default``."""
    best = default
    for value in _codes(payload):
        status = _status_of(value)
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
            return _with_facts(text, about)
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
    return ""


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


def asked_wait(body: object, header: str | None) -> float | None:
    """Return the seconds that an error asks to wait, from its body or its ``Retry-After`` header."""
    if isinstance(body, dict):
        inner = body.get("error")
        for source in (body, inner if isinstance(inner, dict) else {}):
            if wait := seconds(source.get("estimated_time")) or seconds(source.get("retry_after")):
                return wait
    return retry_after(header)


def retry_after(header: str | None) -> float | None:
    """Parse a ``Retry-After`` header, a number or a date, as seconds to wait."""
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
    """Return a time to wait in seconds, None if ``value`` is not a time."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None


def _codes(payload: object) -> Iterator[object]:
    if not isinstance(payload, dict):
        return
    for source in (payload.get("error"), payload):
        if isinstance(source, dict):
            yield from (source[field] for field in _FIELDS_OF_CODE if field in source)


def _status_of(value: object) -> int | None:
    """Return the status for an error code, None for an unknown code."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 400 <= value < 600 else None
    if not isinstance(value, str):
        return None
    if number := re.search(r"(?<!\d)[45]\d\d(?!\d)", value):
        return int(number[0])
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value.strip())
    return _STATUS_OF_CODE.get(re.sub(r"[^a-z]+", "_", snake.lower()).strip("_"))
