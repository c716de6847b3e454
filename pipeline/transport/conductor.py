"""Conductor: hands messages to the streams that read their topic."""

from __future__ import annotations

from collections.abc import MutableSet
from typing import Any

from faust.exceptions import KeyDecodeError, ValueDecodeError
from faust.transport import base
from faust.transport.conductor import ConductorCompiler
from faust.types import TP, Message
from faust.types.transports import ConsumerCallback

__all__ = ["Conductor"]


class Conductor(base.Conductor):
    """Faust's conductor; it subscribes within seconds to topics that are added later, as for replies."""

    #: Seconds in which further topics are gathered; Faust waits 45, as a rebalance of Kafka is dear. Not
    #: below 3, after which ``ReplyConsumer`` starts to listen: an earlier reply would reach nobody.
    _resubscribe_sleep_lock_seconds = 4.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._compiler = _Compiler()

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


class _Compiler(ConductorCompiler):
    """Makes what delivers the messages of a partition: as Faust's does, at less cost when one agent reads.

    Most of what Faust does for each message serves topics that several agents read. Whether there is
    something to wait for is looked at before anything is awaited.
    """

    def build(self, conductor: base.Conductor, tp: TP, channels: MutableSet[Any]) -> ConsumerCallback:
        """Return the function that takes the messages of a partition."""
        to_many = super().build(conductor, tp, channels)
        app = conductor.app
        consumer = app.consumer
        is_flowing = app.flow_control.is_active
        wait_for_flow = app.flow_control.acquire
        buffered = app.producer.buffer.pending
        wait_until_producer_ebb = app.producer.buffer.wait_until_ebb
        on_topic_buffer_full = app.sensors.on_topic_buffer_full

        def on_pressure_high() -> None:
            on_topic_buffer_full(tp)
            consumer.on_buffer_full(tp)

        def on_pressure_drop() -> None:
            consumer.on_buffer_drop(tp)

        async def on_message(message: Message) -> None:
            if not is_flowing():
                await wait_for_flow()
            if buffered.qsize():
                await wait_until_producer_ebb()
            if len(channels) != 1:
                await to_many(message)
                return
            message.incref(1)
            (channel,) = channels
            try:
                event = await channel.decode(message, propagate=True)
            except KeyDecodeError as error:
                message.ack(consumer)
                await channel.on_key_decode_error(error, message)
            except ValueDecodeError as error:
                message.ack(consumer)
                await channel.on_value_decode_error(error, message)
            else:
                queue = channel.queue
                if queue.full():
                    on_topic_buffer_full(tp)
                    await channel.put(event)
                else:
                    queue.put_nowait_enhanced(
                        event, on_pressure_high=on_pressure_high, on_pressure_drop=on_pressure_drop
                    )

        return on_message
