"""Private parts of redis-py's connections and of asyncio's futures."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["is_error_unseen", "take_writer"]


def take_writer(connection: Any) -> Any:
    """Take over the stream of a redis-py connection."""
    writer = connection._writer
    connection._reader = connection._writer = None
    return writer


def is_error_unseen(future: asyncio.Future[Any]) -> bool:
    """Return whether the error of a future was never retrieved."""
    unseen: bool = future._log_traceback
    return unseen
