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
        channel: What reads its topic, or its topics.
        processors: Those of its own, in their order.
    """

    channel: Any
    processors: Sequence[Callable[[Any], Any]] = field(default=())

    @property
    def topics(self) -> list[str]:
        """The names of its topics."""
        return list(self.channel.topics)


def outlive_restarts(channel: Any) -> None:
    """Have a channel keep cancellations from its stream.

    Whatever ends the task that forwards events for ``group_by`` is thrown into the channel that they go to.
    When an agent raises, that is a cancellation: it would end the agent once more after it has been started
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
