"""Wait for the events that agents work on before their partitions are released."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sized
from time import monotonic
from typing import Final, Protocol
from weakref import WeakSet

from faust.types import Message
from mode import get_logger

from faust_redis.consuming.acks import AckLog

__all__ = ["Batching", "Drain"]

logger = get_logger(__name__)

#: Share of the rebalance time-out to wait for agents. With all of it, the member would be evicted
#: just before it releases, and its return would cause another rebalance of the whole group.
DRAIN_FRACTION: Final = 0.8


class Batching(Protocol):
    """A stream that collects a batch of events before it passes them to its agent."""

    def let_go(self) -> list[Message]:
        """Forget the events that the agent has not been given, and return their messages."""


class Drain:
    """Waits until the agents have finished the events that they have begun.

    Attributes:
        batching: The streams that collect batches of events for their agents.
    """

    def __init__(
        self,
        acks: AckLog,
        *,
        begun: Callable[[], Sized],
        commit: Callable[[], Awaitable[object]],
        forget_acked: Callable[[], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        """Take what the consumer consists of.

        Args:
            begun: Returns the messages that agents work on.
            commit: Commits all acks.
            forget_acked: Removes the messages that are acked from those that agents work on.
            is_stopping: Returns whether to stop waiting.
        """
        self._acks = acks
        self._begun = begun
        self._commit = commit
        self._forget_acked = forget_acked
        self._is_stopping = is_stopping
        self.batching: WeakSet[Batching] = WeakSet()

    async def wait(self, rebalance_timeout: float) -> None:
        """Wait until all started events are done, for most of the rebalance time-out, and commit their acks.

        Events that are not done by then stay pending and are delivered again.

        Args:
            rebalance_timeout: Seconds after which the group evicts a member that has not released.
        """
        deadline = monotonic() + rebalance_timeout * DRAIN_FRACTION
        while not self._is_stopping():
            self._let_go_of_batches()
            begun = self._begun()
            if not len(begun):
                break
            if monotonic() > deadline:
                logger.warning("%d events take too long, they will be delivered again", len(begun))
                break
            await self._commit()
            await self._acks.wait_for_ack(timeout=1)
            self._forget_acked()
            gc.collect()  # an agent that ended acks its event when its stream is collected
        await self._commit()

    def _let_go_of_batches(self) -> None:
        """Leave the events of incomplete batches pending: no agent has received them."""
        for stream in list(self.batching):
            for message in stream.let_go():
                self._acks.settle(message)
