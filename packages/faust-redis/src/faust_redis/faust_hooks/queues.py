"""Private parts of a stream's queue: of mode's ``ThrowableQueue``, and of ``asyncio.Queue`` below it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = [
    "buffered_events",
    "pressure_drop_callbacks",
    "share_queue",
    "thrown_errors",
    "waiting_putters",
    "wake_getter",
]


def buffered_events(queue: Any) -> deque[Any]:
    """Return the events in a queue, the same object for its whole life."""
    events: deque[Any] = queue._queue
    return events


def share_queue(channel: Any, queue: Any) -> None:
    """Make a channel deliver its events, and the errors thrown into it, to another one's queue."""
    channel._queue = queue


def thrown_errors(queue: Any) -> deque[BaseException]:
    """Return the errors that were thrown into a queue, the same object for its whole life."""
    errors: deque[BaseException] = queue._errors
    return errors


def pressure_drop_callbacks(queue: Any) -> set[Callable[[], None]]:
    """Return the callbacks that run once a full queue has drained, the same object for its whole life."""
    callbacks: set[Callable[[], None]] = queue._pending_pressure_drop_callbacks
    return callbacks


def waiting_putters(queue: Any) -> deque[Any]:
    """Return the futures of tasks that wait for space, the same object for the queue's whole life."""
    putters: deque[Any] = queue._putters
    return putters


def wake_getter(queue: Any) -> None:
    """Wake a task that waits for an event."""
    queue._wakeup_next(queue._getters)
