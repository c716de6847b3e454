"""Callbacks that a program registers with the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from faust.types import AppT, Message
from mode import get_logger

__all__ = ["DeadLetterCallback", "call_before_dead_letter", "on_dead_letter"]

logger = get_logger(__name__)

#: Gets the message and the error that ends it.
DeadLetterCallback = Callable[[Message, BaseException], Awaitable[None]]

_callbacks: WeakKeyDictionary[AppT, list[DeadLetterCallback]] = WeakKeyDictionary()


def on_dead_letter(app: AppT, callback: DeadLetterCallback) -> DeadLetterCallback:
    """Make workers call ``callback`` before they move an event to the dead letters.

    A program may answer the sender there, for one. The callback runs for every reason: an agent that raised
    at the last attempt, :func:`~faust_redis.reject`, an event that can't be decoded or read, one whose
    workers died (:class:`~faust_redis.WorkerDiedError`). Messages that it sends are confirmed before the
    event is moved. If the worker dies between the two, the event's next owner calls it again. Its own errors
    are logged and change nothing.

    Args:
        callback: Gets the message (key and value as bytes) and the error.

    Returns:
        The callback.
    """
    _callbacks.setdefault(app, []).append(callback)
    return callback


async def call_before_dead_letter(app: AppT, message: Message, error: BaseException) -> None:
    """Call an app's callbacks; their errors are logged."""
    for callback in _callbacks.get(app, ()):
        try:
            await callback(message, error)
        except Exception:
            logger.exception("a callback of on_dead_letter failed for %s-%s", message.tp, message.offset)
