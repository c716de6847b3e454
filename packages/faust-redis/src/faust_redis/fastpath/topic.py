"""Sending to a topic as ``faust.Topic.send`` does, without a future and a coroutine for each of its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property, partial
from typing import Any, cast

import faust
from faust.types import CodecArg, PendingMessage, RecordMetadata, SchemaT
from faust.types.core import HeadersArg, K, OpenHeadersArg, V
from faust.types.tuples import FutureMessage, MessageSentCallback

from faust_redis.fastpath.codecs import keeps_bytes, record_dumper
from faust_redis.fastpath.overrides import is_unmodified
from faust_redis.fastpath.sensors import ActiveSensors
from faust_redis.faust_hooks.apps import attachments_of, size_of
from faust_redis.producing.producer import Producer

__all__ = ["Topic"]


class Topic(faust.Topic):
    """A topic whose messages go straight to the producer."""

    @cached_property
    def _keeps_bytes(self) -> bool:
        as_made = is_unmodified(self, faust.Topic, "prepare_key", "prepare_value")
        return as_made and keeps_bytes(self.app, self.schema)

    @cached_property
    def _dumpers(self) -> dict[type, Callable[[Any], bytes] | None]:
        return {}

    @cached_property
    def _attachments(self) -> Any:
        return attachments_of(self.app)

    @cached_property
    def _sensors(self) -> ActiveSensors:
        return ActiveSensors(self.app)

    async def send(
        self,
        *,
        key: K = None,
        value: V = None,
        partition: int | None = None,
        timestamp: float | None = None,
        headers: HeadersArg | None = None,
        schema: SchemaT[Any, Any] | None = None,
        key_serializer: CodecArg = None,
        value_serializer: CodecArg = None,
        callback: MessageSentCallback | None = None,
        force: bool = False,
    ) -> Awaitable[RecordMetadata]:
        """Send a message as ``faust.Topic.send`` does; the future is resolved once Redis has confirmed it.

        Raises:
            ProducerSendError: The partition does not exist, or the app is stopping.
        """
        app: Any = self.app
        producer: Producer = app.producer
        if callback is not None or self._attachments.enabled or not _is_sending(producer):
            return await super().send(
                key=key,
                value=value,
                partition=partition,
                timestamp=timestamp,
                headers=headers,
                schema=schema,
                key_serializer=key_serializer,
                value_serializer=value_serializer,
                callback=callback,
                force=force,
            )
        raw_key, raw_value, open_headers = self._serialized(
            key, value, self.prepare_headers(headers), schema, (key_serializer, value_serializer)
        )
        name = self.get_topic_name()
        active = self._sensors
        active.refresh()
        sensors = active.sends
        message = None
        if active.sends_need_message:
            content = (raw_key, raw_value, partition, timestamp, open_headers)
            message = self._pending_message(content, key_serializer, value_serializer)
        # The producer refuses values that no serializer has converted to bytes.
        key_size = len(raw_key) if type(raw_key) is bytes else size_of(raw_key)
        value_size = len(raw_value) if type(raw_value) is bytes else size_of(raw_value)
        state = sensors.on_send_initiated(producer, name, message, key_size, value_size)
        if not producer.has_room(name):
            await producer.make_room(name)
        return producer.enqueue(
            name, raw_key, raw_value, partition, timestamp, open_headers, (sensors, state)
        )

    def _serialized(
        self,
        key: Any,
        value: Any,
        headers: OpenHeadersArg,
        schema: SchemaT[Any, Any] | None,
        serializers: tuple[CodecArg, CodecArg],
    ) -> tuple[Any, Any, OpenHeadersArg]:
        keeps_bytes = schema is None and self._keeps_bytes
        if not (keeps_bytes and type(key) is bytes):
            key, headers = self.prepare_key(key, serializers[0], schema, headers)
        if keeps_bytes and (plain := self._plain_value(value)) is not None:
            return key, plain, headers
        value, headers = self.prepare_value(value, serializers[1], schema, headers)
        return key, value, headers

    def _plain_value(self, value: Any) -> bytes | None:
        """Return the bytes of a value that Faust would send so; ``None`` if Faust has to serialize it."""
        kind = type(value)
        if kind is bytes:
            return cast(bytes, value)
        try:
            dump = self._dumpers[kind]
        except KeyError:
            dump = self._dumpers[kind] = record_dumper(kind)
        return None if dump is None else dump(value)

    def _pending_message(
        self, content: tuple[Any, ...], key_serializer: CodecArg, value_serializer: CodecArg
    ) -> PendingMessage:
        # Positional, because keyword arguments would cost more than the rest of the call.
        make: Any = PendingMessage
        generation = self.app.consumer_generation_id
        message: PendingMessage = make(
            self, *content, key_serializer, value_serializer, None, None, None, generation
        )
        return message

    async def publish_message(self, fut: FutureMessage, wait: bool = False) -> Awaitable[RecordMetadata]:
        """Send a buffered message of a table or ``send_soon``, as ``faust.Topic.publish_message`` does.

        Returns:
            A future that is resolved once Redis has confirmed the message.
        """
        producer: Any = self.app.producer
        if wait or not _is_sending(producer):
            published: Awaitable[RecordMetadata] = await super().publish_message(fut, wait)
            return published
        message = fut.message
        topic = self._topic_name_or_default(message.channel)
        key: Any = message.key
        value: Any = message.value
        state = self.app.sensors.on_send_initiated(
            producer, topic, message=message, keysize=size_of(key), valsize=size_of(value)
        )
        confirmed = await producer.send(
            topic, key, value, message.partition, message.timestamp, message.headers
        )
        confirmed.add_done_callback(partial(self._on_published, message=fut, state=state, producer=producer))
        result: Awaitable[RecordMetadata] = confirmed
        return result


def _is_sending(producer: Any) -> bool:
    return isinstance(producer, Producer) and producer.is_sending
