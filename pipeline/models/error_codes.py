"""Map the codes of model servers' errors to HTTP statuses; no I/O."""

from __future__ import annotations

import re
from typing import Final

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
            "invalid_parameter",
            "invalid_parameter_error",
            "invalid_value",
            "unsupported_parameter",
            "unsupported_value",
            "validation_exception",
            "context_window_exceeded_error",
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
            "invalid_authentication_error",
            "incorrect_api_key",
            "invalid_token",
            "expired_token",
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
            "arrearage",
            "credits_exhausted",
            "exceeded_current_quota_error",
            "quota_exceeded",
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
            "throttling_exception",
            "throttling",
            "too_many_requests",
            "model_overloaded",
            "queue_full",
        ),
        429,
    ),
    **dict.fromkeys(
        (
            "api_error",
            "internal",
            "internal_error",
            "internal_exception",
            "internal_failure",
            "internal_server_error",
            "server_error",
        ),
        500,
    ),
    **dict.fromkeys(
        (
            "model_loading",
            "model_not_ready",
            "model_not_ready_exception",
            "model_warming_up",
            "loading",
            "service_unavailable",
            "service_unavailable_error",
            "unavailable",
            "unavailable_error",
        ),
        503,
    ),
    **dict.fromkeys(("deadline_exceeded", "gateway_timeout"), 504),
}


def status_of(value: object) -> int | None:
    """Return the status for an error code, None for an unknown code."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 400 <= value < 600 else None
    if not isinstance(value, str):
        return None
    if number := re.search(r"(?<!\d)[45]\d\d(?!\d)", value):
        return int(number[0])
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value.strip())
    return _STATUS_OF_CODE.get(re.sub(r"[^a-z]+", "_", snake.lower()).strip("_"))
