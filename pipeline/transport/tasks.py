"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["end"]


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks until they are done; whatever they raise is dropped.

    Once is not enough: before Python 3.12 ``asyncio.wait_for`` may swallow a cancellation that comes together
    with its result, and redis-py does while it puts a connection back.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
