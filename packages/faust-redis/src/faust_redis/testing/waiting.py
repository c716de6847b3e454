"""Waiting on a condition, the only way a test waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between looks at a condition.
INTERVAL = 0.02


def wait_until(condition: Callable[[], T], described: str, timeout: float = 60.0) -> T:
    """Return what the condition returns once that is truthy.

    Args:
        described: What is waited for, for the failure.
        timeout: Seconds.

    Raises:
        AssertionError: The time is up; names what was waited for and what was seen last.
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
    """Wait as `wait_until` does, while the event loop goes on; the condition may be a coroutine function."""
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
