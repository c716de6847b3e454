"""Batches: an agent handles the events that have arrived together; each succeeds or fails by itself.

async for events in batches(stream):
    replies = await ask_for(events)  # one round trip
    for event, reply in zip(events, replies):
        set_current_event(event)
        await other_topic.send(value=...)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from weakref import ref

from faust.types import EventT

from faust_redis.fastpath.stream import Stream, one_by_one
from faust_redis.faust_hooks import streams

__all__ = ["batches", "set_current_event"]

#: Events of a batch: enough to share a round trip, and few enough that the first need not wait for the last.
LIMIT: Final = 32

_set_current = streams.current_event_variable().set


def batches(stream: Any, limit: int = LIMIT) -> AsyncIterator[list[EventT[Any]]]:
    """Iterate over the events of an agent's stream as they have arrived, without waiting for more.

    The events of a batch are acked when the agent asks for the next batch, except those that it has failed
    with ``fail`` or ``reject``. If the agent raises, all of them have failed; if it is cancelled while its
    worker stops, they stay pending. Events are in the order of their partitions, so an agent without
    ``concurrency`` keeps the order of each key.

    Unlike ``stream.take``, nothing waits for a batch to fill. A stream with processors or a join, or one of
    Faust itself (``fast_path=false``), yields batches of one event.

    Args:
        limit: The maximum number of events.
    """
    return stream.batches(limit) if isinstance(stream, Stream) else one_by_one(stream)


def set_current_event(event: EventT[Any] | None) -> None:
    """Make an event of a batch the current one, to which messages belong that are sent from now on.

    An event succeeds only with its messages: if Redis refuses one for good, the event has failed.

    Args:
        event: ``None`` for no event.
    """
    _set_current(None if event is None else ref(event))
