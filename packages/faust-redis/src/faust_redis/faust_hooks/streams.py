"""Private parts of Faust's streams and agents."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from faust import streams
from faust.types import AgentT, EventT

__all__ = [
    "BatchBuffer",
    "batch_buffer",
    "chain_of",
    "channel_of",
    "channels_of",
    "current_event_variable",
    "on_error_of",
    "processors_of",
    "revive",
    "set_on_error",
]

OnError = Callable[[AgentT[Any], BaseException], Awaitable[None]]


def current_event_variable() -> ContextVar[Any]:
    """Return the variable behind ``faust.current_event``."""
    variable: ContextVar[Any] = streams._current_event
    return variable


def channels_of(stream: Any) -> list[Any]:
    """Return the channels that a stream reads: one, unless it is one of ours that merges several."""
    channels: list[Any] = getattr(stream, "channels", None) or [stream.channel]
    return channels


def channel_of(stream: Any, event: EventT[Any]) -> Any:
    """Return the channel through which an event came to a stream."""
    find = getattr(stream, "channel_of", None)
    return stream.channel if find is None else find(event)


def chain_of(stream: Any) -> list[Any]:
    """Return the streams that a stream was derived from by ``group_by`` and ``through``, and itself last."""
    return list(stream._iter_ll_backwards())[::-1]


def revive(stream: Any) -> None:
    """Restart the streams behind a stream, and their forwarding to the next one.

    Faust stops all of them when an agent raises, and starts only the last one again.
    """
    for each in chain_of(stream)[:-1]:
        if each.should_stop:
            each.service_reset()
        if each._next.channel is not each.channel and not each._passive:
            each._enable_passive(each._next.channel, declare=True)


def processors_of(stream: Any) -> list[Any]:
    """Return the processors of a stream, the list that it reads itself."""
    processors: list[Any] = stream._processors
    return processors


def on_error_of(agent: Any) -> OnError | None:
    """Return the function that an agent calls with each of its errors."""
    on_error: OnError | None = agent._on_error
    return on_error


def set_on_error(agent: Any, on_error: OnError) -> None:
    """Replace the function that an agent calls with each of its errors."""
    agent._on_error = on_error


class BatchBuffer(NamedTuple):
    """The buffer of ``take()`` or a method like it.

    Attributes:
        values: The values, or events, that are yielded as a batch.
        events: The events that they belong to.
        is_complete: Returns whether the batch has its full size, and is about to be yielded.
    """

    values: list[Any]
    events: list[EventT[Any]]
    is_complete: Callable[[], bool]


def batch_buffer(processor: Any) -> BatchBuffer:
    """Return the buffer that a processor fills."""
    free = inspect.getclosurevars(processor).nonlocals
    return BatchBuffer(free["buffer_add"].__self__, free["event_add"].__self__, free["buffer_full"].is_set)
