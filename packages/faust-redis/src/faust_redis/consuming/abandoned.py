"""Detect events whose agent was cancelled before it finished them.

Faust acks in a ``finally`` around the ``yield`` that hands an event to the agent, so an agent that is
cancelled (its worker stops) acks an unfinished event. Such an ack differs from a real one in the exception
being handled at that moment: it was thrown into the generator, so the agent did not ask for the next event.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from faust.types import TP, EventT, StreamT

from faust_redis.consuming.failures import Failures
from faust_redis.faust_hooks.sensors import InternalSensor
from faust_redis.faust_hooks.streams import channel_of

__all__ = ["AbandonedEvents"]


class AbandonedEvents(InternalSensor):
    """Undoes the acks of events that an agent did not finish, or that another one failed."""

    def __init__(self, failures: Failures) -> None:
        super().__init__()
        self._failures = failures

    def on_stream_event_out(
        self,
        tp: TP,
        offset: int,
        stream: StreamT[Any],
        event: EventT[Any],
        state: dict[str, Any] | None = None,
    ) -> None:
        """Called by the stream right after its ack, with nothing awaited in between."""
        channel = channel_of(stream, event)
        if isinstance(sys.exc_info()[1], (asyncio.CancelledError, GeneratorExit)):
            self._failures.take_back(event.message, channel)
        else:
            self._failures.end(event.message, channel)
