"""Conductor: hands messages to the streams that read their topic."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from faust.transport import base
from faust.types import TP, Message

__all__ = ["Conductor"]


class Conductor(base.Conductor):
    """Faust's conductor; it subscribes within seconds to topics that are added later, as for replies."""

    #: Seconds in which further topics are gathered; Faust waits 45, as a rebalance of Kafka is dear. Not
    #: below 3, after which ``ReplyConsumer`` starts to listen: an earlier reply would be lost.
    _resubscribe_sleep_lock_seconds = 4.0

    def deliver(self, message: Message) -> bool:
        """Deliver a message if that takes no waiting; return whether it was delivered.

        If not, the coroutine that Faust gives the consumer delivers it.
        """
        return False

    async def deliver_to(self, message: Message, channels: Set[Any]) -> None:
        """Deliver a message to these of the channels that read its partition; to all, if they are gone."""
        async with self._tp_to_callback_lock:
            reading: Any = self._tp_index[message.tp]
            handler = super()._build_handler(message.tp, channels & reading or reading)
        await handler(message)

    def channels_of(self, tp: TP) -> Set[Any]:
        """Return the channels that read a partition."""
        return self._tp_index.get(tp, frozenset())
