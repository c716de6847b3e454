"""Wait on conditions, never for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between checks of a condition.
INTERVAL = 0.02


def wait_until(condition: Callable[[], T], described: str, timeout: float = 60.0) -> T:
    """Return the first truthy result of the condition.

    Args:
        described: The expected state, for the error.
        timeout: Seconds.

    Raises:
        AssertionError: The time is up; the text has the expected state and the last result.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s for {described}; last seen: {seen!r}")
        time.sleep(INTERVAL)


async def eventually(
    condition: Callable[[], object | Awaitable[object]], described: str, timeout: float = 60.0
) -> None:
    """Wait as ``wait_until`` does, without blocking the event loop; the condition may be asynchronous."""
    deadline = time.monotonic() + timeout
    while True:
        seen = condition()
        if isinstance(seen, Awaitable):
            seen = await seen
        if seen:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s for {described}; last seen: {seen!r}")
        await asyncio.sleep(INTERVAL)
