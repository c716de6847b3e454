"""Several streams read as one: their topics fill one queue, and each keeps its processors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mode.utils.futures import maybe_async

__all__ = ["Source", "outlive_restarts", "processor_of"]


@dataclass(frozen=True)
class Source:
    """One of the streams.

    Attributes:
        channel: The channel that reads its topic or topics.
        processors: Its own processors, in order.
    """

    channel: Any
    processors: Sequence[Callable[[Any], Any]] = field(default=())

    @property
    def topics(self) -> list[str]:
        """The names of its topics."""
        return list(self.channel.topics)


def outlive_restarts(channel: Any) -> None:
    """Shield a channel's stream from cancellations.

    The error that ends the forwarding task of ``group_by`` is thrown into the channel that gets the events.
    When an agent raises, this error is a cancellation, which would end the agent once more after it started
    again.
    """
    channel.throw = partial(_throw, channel.throw)


async def _throw(throw: Callable[[BaseException], Awaitable[None]], error: BaseException) -> None:
    if not isinstance(error, asyncio.CancelledError):
        await throw(error)


def processor_of(sources: Sequence[Source], current_event: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return a processor that applies to each event those of the stream it comes from.

    Args:
        current_event: Returns the event at work.
    """
    by_topic = {topic: source.processors for source in sources for topic in source.topics}

    async def process(value: Any) -> Any:
        event = current_event()
        for processor in by_topic.get(event.message.topic, ()) if event is not None else ():
            value = await maybe_async(processor(value))
        return value

    return process
