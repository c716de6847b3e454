"""Handle the messages that have arrived together, which share their round trips to Redis.

    async for events in batches(stream):
        await run_batch(stage, events, partial(handle, stage), partial(give_up, stage))

A batch that fails is handled again message by message, so only those that fail alone count as failed. That is
safe because every operation on a session may be repeated for the same stream entry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from faust_redis import REDELIVERY_HEADER, set_current_event
from pipeline.chat.records import Inbound, Turn, TurnOutcome
from pipeline.telemetry import tracing
from pipeline.worker.replays import REPLAYED_HEADER
from pipeline.worker.stage import Stage, entry_name, run_with_retries
from pipeline.worker.topics import message_id

__all__ = ["Batch", "Received", "run_batch"]

logger = logging.getLogger(__name__)

M = TypeVar("M", Inbound, Turn, TurnOutcome)
R = TypeVar("R")


class Received(NamedTuple, Generic[M]):
    """A message, and the name of its stream entry, which is the same for each attempt."""

    message: M
    entry: str


class Batch(Generic[M]):
    """Messages of different sessions."""

    def __init__(self, received: Sequence[Received[M]], events: Sequence[Any] = ()) -> None:
        """Take the messages, and the events that brought them, if any."""
        self.received: Sequence[Received[M]] = received
        self._events = events or [None] * len(received)

    @classmethod
    def of(cls, message: M, entry: str) -> Batch[M]:
        """Return a batch of one message, which belongs to the current event."""
        return cls([Received(message, entry)])

    def with_results(self, results: Iterable[R]) -> Iterator[tuple[M, str, R]]:
        """Yield each message with its entry and its result; those sent meanwhile belong to its event."""
        for (message, entry), event, result in zip(self.received, self._events, results, strict=True):
            if event is not None:
                set_current_event(event)
                tracing.MESSAGE.set(message_id(message))
            yield message, entry, result


Handle = Callable[[Batch[M]], Awaitable[None]]


async def run_batch(
    stage: Stage, events: Sequence[Any], handle: Handle[M], give_up: Callable[[M, str], Awaitable[None]]
) -> None:
    """Handle events, those of one session one after the other.

    Args:
        stage: the stage that got the events.
        handle: handles messages of different sessions together; may be repeated for each of them.
        give_up: called with a message and its entry after its last failed attempt; ends its turn.
    """
    for together in _rounds(events):
        if len(together) > 1 and not tracing.enabled():
            try:
                await handle(Batch([_received(event) for event in together], together))
                continue
            except Exception as exc:
                logger.debug("handling %d messages one by one: %s", len(together), exc)
            finally:
                set_current_event(None)
        if len(together) > 1:
            await asyncio.gather(*(_run_alone(stage, event, handle, give_up) for event in together))
            continue
        # Without a task, which would take as long as all other steps of the event.
        try:
            await _run_alone(stage, together[0], handle, give_up)
        finally:
            set_current_event(None)


async def _run_alone(
    stage: Stage, event: Any, handle: Handle[M], give_up: Callable[[M, str], Awaitable[None]]
) -> None:
    set_current_event(event)

    async def handle_one(message: M, entry: str) -> None:
        await handle(Batch.of(message, entry))

    await run_with_retries(stage, event, handle_one, give_up)


def _received(event: Any) -> Received[Any]:
    return Received(event.value, entry_name(event.message))


def _rounds(events: Iterable[Any]) -> Iterator[list[Any]]:
    """Split events into those to handle together: in their order, and one of each session at most.

    An event that needs more than its handler, because it was replayed or has failed before, is alone.
    """
    together: dict[Any, Any] = {}
    for event in events:
        headers = event.headers
        is_special = headers and (REPLAYED_HEADER in headers or REDELIVERY_HEADER in headers)
        if together and (is_special or event.key in together):
            yield list(together.values())
            together = {}
        together[event.key] = event
        if is_special:
            yield [event]
            together = {}
    if together:
        yield list(together.values())
