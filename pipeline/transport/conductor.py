"""Conductor: hands messages to the streams that read their topic."""

from __future__ import annotations

from faust.transport import base
from faust.types import Message
from faust.types.transports import ConsumerCallback

__all__ = ["Conductor"]


class Conductor(base.Conductor):
    """Faust's conductor; it subscribes within seconds to topics that are added later, as for replies."""

    #: Seconds in which further topics are gathered; Faust waits 45, as a rebalance of Kafka is dear. Not
    #: below 3, after which ``ReplyConsumer`` starts to listen: an earlier reply would reach nobody.
    _resubscribe_sleep_lock_seconds = 4.0

    def _compile_message_handler(self) -> ConsumerCallback:
        callbacks, lock = self._tp_to_callback, self._tp_to_callback_lock
        if self.app.client_only:
            return super()._compile_message_handler()

        async def on_message(message: Message) -> None:
            # Faust takes the lock for each message; it matters only while the callbacks are being changed.
            if lock.locked():
                async with lock:
                    callback = callbacks[message.tp]
            else:
                callback = callbacks[message.tp]
            await callback(message)

        return on_message
