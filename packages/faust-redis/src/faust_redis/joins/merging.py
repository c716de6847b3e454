"""Several streams read as one: their topics fill one queue, and each keeps its processors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mode.utils.futures import maybe_async

__all__ = ["Source", "processor_of"]


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
