"""Cancel tasks reliably."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["cancel_and_wait"]

#: Seconds between cancellations; a task that cleans up gets another one only if it takes longer.
AGAIN: Final = 0.1


async def cancel_and_wait(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks until they are done; their errors are dropped.

    Once is not enough: before Python 3.12 ``asyncio.wait_for`` may swallow a cancellation that comes together
    with its result, and redis-py does while a pipeline's connection is in use.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()  # retrieved, or asyncio reports it as never retrieved
