"""Noticing events that an agent was torn away from.

Faust acks in a ``finally`` around the ``yield`` that hands an event to the agent, so an agent that is
cancelled (its worker stops) acks what it never finished. The ack can be told from a real one by what is being
handled at that moment: an exception thrown into the generator, not a request for the next event.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from faust.types import TP, EventT, StreamT

from faust_redis.fastpath.sensors import InternalSensor

if TYPE_CHECKING:
    from faust_redis.consuming.consumer import Consumer

__all__ = ["AbandonedEvents"]


class AbandonedEvents(InternalSensor):
    """Takes back the acks of events whose agent was cancelled or whose stream was closed."""

    def __init__(self, consumer: Consumer) -> None:
        super().__init__()
        self.consumer = consumer

    def on_stream_event_out(
        self,
        tp: TP,
        offset: int,
        stream: StreamT[Any],
        event: EventT[Any],
        state: dict[str, Any] | None = None,
    ) -> None:
        """Called by the stream right after its ack, with nothing awaited in between."""
        if isinstance(sys.exc_info()[1], (asyncio.CancelledError, GeneratorExit)):
            self.consumer.unack(event.message)
