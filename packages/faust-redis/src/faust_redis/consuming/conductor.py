"""Conductor: hands messages to the streams that read their topic."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from faust.transport import base
from faust.types import TP, Message

from faust_redis.faust_hooks.agents import isolated_channels

__all__ = ["Conductor"]


class Conductor(base.Conductor):
    """Faust's conductor; it subscribes within seconds to topics that are added later, as for replies."""

    #: Seconds in which further topics are collected; Faust waits 45, as a Kafka rebalance is expensive. Not
    #: below 3, after which ``ReplyConsumer`` starts to listen: an earlier reply would be lost.
    _resubscribe_sleep_lock_seconds = 4.0

    def deliver(self, message: Message) -> bool:
        """Deliver a message if possible without waiting; return whether it was delivered.

        If not, the coroutine that Faust gives the consumer delivers it.
        """
        return False

    async def on_partitions_assigned(self, assigned: set[TP]) -> None:
        """Deliver the messages of these partitions from now on."""
        self._forget_isolated_channels(assigned)
        await super().on_partitions_assigned(assigned)

    def _forget_isolated_channels(self, assigned: set[TP]) -> None:
        """Forget the channels of isolated partitions that have gone, or have a new channel.

        An actor that was cancelled, or raised, may leave its channel behind.
        """
        serving = isolated_channels(self.app.agents.values())
        for channel in list(self._topics):
            partitions: set[TP] = channel.active_partitions or set()
            if any(tp not in assigned or serving.get(tp, channel) is not channel for tp in partitions):
                self._topics.discard(channel)

    async def deliver_to(self, message: Message, channels: Set[Any]) -> None:
        """Deliver a message to these of the channels that read its partition; to all, if they are gone."""
        async with self._tp_to_callback_lock:
            reading: Any = self._tp_index[message.tp]
            handler = super()._build_handler(message.tp, channels & reading or reading)
        await handler(message)

    def channels_of(self, tp: TP) -> Set[Any]:
        """Return the channels that read a partition."""
        return self._tp_index.get(tp, frozenset())
