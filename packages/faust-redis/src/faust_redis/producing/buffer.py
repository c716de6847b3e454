"""What tables and ``send_soon`` have sent, on its way to the producer.

Faust's own buffer tells when it is empty, and gives up after a tenth of a second in which nothing moved.
Neither tells that what was put into it before has gone: an agent that never rests keeps it from being empty,
and nothing could be acked for as long; and where it gives up, an event would be acked before its changes of
tables are safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from faust.transport.producer import ProducerBuffer
from faust.types.tuples import FutureMessage

__all__ = ["Buffer"]


class Buffer(ProducerBuffer):
    """Counts what comes and goes.

    Attributes:
        accepted: How many messages were put into it, ever.
        passed: How many of them the producer has, or has refused; they go in the order they came.
    """

    def __init__(
        self, changed: asyncio.Event, collect: Callable[[FutureMessage], bool], **kwargs: Any
    ) -> None:
        """Take what to set whenever a message has passed.

        Args:
            collect: Returns whether it has taken a message, which then belongs to an event.
        """
        self._changed = changed
        self._collect = collect
        self.accepted = 0
        self.passed = 0
        super().__init__(**kwargs)

    def put(self, fut: FutureMessage) -> None:
        """Add a message; it is sent soon, or with the commit of the event that an agent works on."""
        if self._collect(fut):
            return
        self.accepted += 1
        super().put(fut)

    async def _send_pending(self, fut: FutureMessage) -> None:
        try:
            await super()._send_pending(fut)
        finally:
            self.passed += 1
            self._changed.set()
