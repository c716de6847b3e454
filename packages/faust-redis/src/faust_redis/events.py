"""Decide what becomes of an event, from inside an agent."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar, runtime_checkable

from faust.types import EventT, Message

from faust_redis.consuming.crash_marker import CrashMarker
from faust_redis.errors import ForeignBrokerError
from faust_redis.log.entries import REDELIVERY_HEADER
from faust_redis.options import options_of

__all__ = ["attempts_before", "fail", "is_last_attempt", "marked", "reject"]

_T = TypeVar("_T")


@runtime_checkable
class _FailingConsumer(Protocol):
    def fail(self, message: Message, error: BaseException) -> None: ...

    def reject(self, message: Message, error: BaseException) -> None: ...


def fail(event: EventT[Any], error: BaseException) -> None:
    """Count a failed attempt of an event and go on with the next one.

    The event comes again after a pause; after its last attempt it becomes a dead letter. Raising the error
    has the same effect and costs more, because Faust restarts an agent that raised. A second call for the
    same event does nothing.

    Args:
        error: The reason, kept in the dead letter as ``<class>: <text>``.

    Raises:
        ForeignBrokerError: The event's app has a broker of another kind.
    """
    _consumer(event).fail(event.message, error)


def reject(event: EventT[Any], error: BaseException) -> None:
    """Make an event a dead letter at once, because another attempt would fail as well.

    Args:
        error: The reason, kept in the dead letter as ``<class>: <text>``.

    Raises:
        ForeignBrokerError: The event's app has a broker of another kind.
    """
    _consumer(event).reject(event.message, error)


async def marked(event: EventT[Any], handling: Coroutine[Any, Any, _T]) -> _T:
    """Await a coroutine that handles an event, so that a worker which it kills blames this event.

    While its own code runs, a file in the app's ``datadir`` names the event. When the process ends then (a
    crash, no memory left, a loop without end), the next worker with the same ``datadir`` delivers the event
    alone, after the others, and makes it a dead letter if it does so again. Its place in the order of its key
    is lost. Waiting for anything is not its own code, and neither are tasks that it starts.

    Raises:
        ForeignBrokerError: The event's app has a broker of another kind.
    """
    consumer, message = event.app.consumer, event.message
    marker = getattr(consumer, "crash_marker", None)
    if not isinstance(marker, CrashMarker):
        raise ForeignBrokerError(type(consumer).__name__)
    return await marker.run(message.tp, message.offset, handling)


def attempts_before(event: EventT[Any]) -> int:
    """Return how many attempts of an event have failed; 0 at its first delivery."""
    return int(event.headers.get(REDELIVERY_HEADER) or 0)


def is_last_attempt(event: EventT[Any]) -> bool:
    """Return whether the event becomes a dead letter when it fails now."""
    return attempts_before(event) + 1 >= options_of(event.app).attempts


def _consumer(event: EventT[Any]) -> _FailingConsumer:
    consumer = event.app.consumer
    if not isinstance(consumer, _FailingConsumer):
        raise ForeignBrokerError(type(consumer).__name__)
    return consumer
