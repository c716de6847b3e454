"""The record of finished events, kept until it is committed to Redis."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableSet
from typing import Protocol

from faust.types import TP, AppT, Message
from faust.types.tuples import ack_lock

from faust_redis.faust_hooks.acks import redirect_acks

__all__ = ["AckLog", "InFlight", "Tracker"]


class InFlight(Protocol):
    """Answers whether an ack still counts."""

    def is_in_flight(self, message: Message) -> bool:
        """Return whether a message is the one delivered last for its entry, in a partition owned here."""


class Tracker(Protocol):
    """The part of Faust's consumer that keeps messages."""

    @property
    def unacked(self) -> MutableSet[Message]:
        """The messages that agents have begun and not finished."""


class AckLog:
    """Acks that are not committed yet.

    Attributes:
        unacked: The messages that agents have begun and not finished; Faust adds to it as well.
        count: Acks recorded since it was last set to 0.
        epoch: Number of times that all acks were cleared; those taken earlier must not be restored.
    """

    def __init__(self, app: AppT, in_flight: InFlight, consumer: Tracker) -> None:
        self._app = app
        self._is_in_flight = in_flight.is_in_flight
        self._acked: defaultdict[TP, set[int]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._has_any = asyncio.Event()
        self.unacked = consumer.unacked
        self.count = 0
        self.epoch = 0
        redirect_acks(consumer, self._acked, on_ack=self._count_one, on_end=self._changed.set)

    def _count_one(self) -> None:
        self.count += 1
        self._has_any.set()

    def ack(self, message: Message) -> bool:
        """Record a message as done, once the last of its streams has finished with it.

        A message that a stream skipped because a rebalance had made it stale never started (it is not
        tracked): it stays pending for its next owner. A message that is no longer in flight stays pending
        as well, because its partition has had another owner.

        Returns:
            Whether it was not acked before.
        """
        if not message.tracked and self.is_stale(message):
            message.acked = True
            return False
        return self.record(message)

    def record(self, message: Message) -> bool:
        """Record a message as done if it is still in flight; return whether it was not acked before."""
        tp, offset = message.tp, message.offset
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            self.unacked.discard(message)
            self._changed.set()
            acked = self._acked[tp]
            if offset in acked or not self._is_in_flight(message):
                return False
            acked.add(offset)
            self._count_one()
        return True

    def is_stale(self, message: Message) -> bool:
        """Return whether a message was delivered before the current generation, or the flow has stopped."""
        app = self._app
        return message.generation_id != app.consumer_generation_id or not app.flow_control.is_active()

    def is_acked(self, tp: TP, offset: int) -> bool:
        """Return whether the ack of an entry waits to be committed."""
        return offset in self._acked[tp]

    def add(self, tp: TP, offset: int) -> None:
        """Record an entry as done without a message."""
        self._acked[tp].add(offset)
        self._has_any.set()

    def take_back(self, message: Message) -> bool:
        """Remove the ack of a message; return whether there was one that is not committed yet."""
        acked = self._acked[message.tp]
        # The entry of a dead letter is acked in Redis already, and no longer in flight.
        if message.offset not in acked or not self._is_in_flight(message):
            return False
        acked.discard(message.offset)
        return True

    def drop_after(self, tp: TP, last: int) -> None:
        """Drop the acks of offsets after the last one that Redis has a delivery of."""
        acked = self._acked[tp]
        acked -= {offset for offset in acked if offset > last}

    def settle(self, message: Message) -> None:
        """Remove a message from those that agents work on, without an ack: it stays pending."""
        message.acked = True
        self.unacked.discard(message)

    def partitions(self) -> list[TP]:
        """Return the partitions with acks that are not committed yet."""
        return [tp for tp, offsets in self._acked.items() if offsets]

    def take(self, tps: Iterable[TP]) -> dict[TP, set[int]]:
        """Remove and return the acks of these partitions."""
        return {tp: offsets for tp in tps if (offsets := self._acked.pop(tp, None))}

    def restore(self, taken: Mapping[TP, Iterable[int]]) -> None:
        """Put acks back that could not be committed."""
        for tp, offsets in taken.items():
            self._acked[tp].update(offsets)
            self._has_any.set()

    def waiting(self, tp: TP) -> frozenset[int]:
        """Return the offsets of a partition whose acks are not committed yet."""
        return frozenset(self._acked.get(tp, ()))

    def clear(self) -> None:
        """Forget all acks."""
        self.epoch += 1
        self._acked.clear()

    async def wait_for_any(self) -> None:
        """Wait until there are acks that are not committed yet."""
        while not self.partitions():
            self._has_any.clear()
            await self._has_any.wait()

    async def wait_for_ack(self, timeout: float) -> None:
        """Wait until an agent finishes something, for ``timeout`` seconds at most."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            pass
