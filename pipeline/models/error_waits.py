"""Read how long a model server asks to wait; no I/O."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

from pipeline.models.error_bodies import server_message, unwrapped

_WAIT = re.compile(
    r"(?:try(?:ing)?|retry) (?:your request |the request )?(?:again )?(?:in|after) "
    r"((?:\d{1,6}(?:\.\d{1,9})?\s?(?:ms|milliseconds?|h|hours?|m|minutes?|min|s|sec|seconds?)?(?![a-z])\s?){1,3})",
    re.IGNORECASE,
)


def asked_wait(body: object, header: str | None) -> float | None:
    """Return the seconds that an error asks to wait, from its body or its ``Retry-After`` header."""
    body = unwrapped(body)
    if isinstance(body, dict):
        inner = body.get("error")
        for source in (body, inner if isinstance(inner, dict) else {}):
            if wait := seconds(source.get("estimated_time")) or seconds(source.get("retry_after")):
                return wait
            if wait := _retry_delay(source.get("details")):
                return wait
    return retry_after(header) or _wait_in_words(server_message(body))


def _retry_delay(details: object) -> float | None:
    """Return the wait in Google's list of details, such as ``"retryDelay": "37s"``."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            return seconds(delay.removesuffix("s"))
    return None


def _wait_in_words(text: str) -> float | None:
    """Return the wait in a message such as "try again in 6m0.5s", None when it names no wait."""
    found = _WAIT.search(text)
    if found is None:
        return None
    amounts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|milli|[hms]|$)?", found[1], re.IGNORECASE)
    factors = {"ms": 0.001, "milli": 0.001, "h": 3600.0, "m": 60.0}
    return seconds(sum(float(number) * factors.get(unit.lower(), 1.0) for number, unit in amounts))


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
