"""The buffer between tables or ``send_soon`` and the producer.

Faust's own buffer signals only that it is empty, and gives up after a tenth of a second without progress.
Neither shows that earlier messages have passed: a busy agent keeps it from being empty,
so nothing could be acked for as long; and when it gives up, an event would be acked before its changes of
tables are confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from faust.transport.producer import ProducerBuffer
from faust.types.tuples import FutureMessage

__all__ = ["Buffer"]


class Buffer(ProducerBuffer):
    """Counts the messages that enter and leave.

    Attributes:
        accepted: Total number of messages put into it.
        passed: Number of them that the producer has taken or refused, in their order.
    """

    def __init__(
        self, changed: asyncio.Event, collect: Callable[[FutureMessage], bool], **kwargs: Any
    ) -> None:
        """Take the event to set whenever a message has passed.

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
