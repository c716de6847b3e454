"""The conductor's fast path: a message goes to its stream by one function call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, MutableSet
from functools import partial
from typing import Any, NamedTuple

import faust
from faust.exceptions import KeyDecodeError, ValueDecodeError
from faust.serializers.schemas import Schema
from faust.types import TP, AppT, EventT, Message
from faust.types.transports import ConsumerCallback

from faust_redis.consuming.conductor import Conductor
from faust_redis.fastpath.codecs import key_loader, value_loader
from faust_redis.faust_hooks.queues import buffered_events, putter

__all__ = ["FastConductor"]

_Decode = Callable[[Message], EventT[Any]]


class _Route(NamedTuple):
    """Leads messages to the queue of one channel.

    Attributes:
        decode: Makes an event of a message; ``None`` if the program decodes them itself.
        high: Events in the queue from which on reading pauses.
    """

    decode: _Decode | None
    queue: Any
    events: deque[Any]
    high: int
    put: Callable[[EventT[Any]], None]

    @classmethod
    def of(cls, app: AppT, channel: Any) -> _Route:
        """Return the route to the queue of a channel."""
        queue = channel.queue
        return cls(
            _decoder(app, channel), queue, buffered_events(queue), queue.pressure_high_size, putter(queue)
        )


class FastConductor(Conductor):
    """Delivers a message without a coroutine if one stream alone reads it and has room for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now: dict[TP, Callable[[Message], bool]] = {}

    def deliver(self, message: Message) -> bool:
        """Deliver a message if possible without waiting; return whether it was delivered."""
        if self._tp_to_callback_lock.locked():
            return False
        deliver_now = self._now.get(message.tp)
        return deliver_now is not None and deliver_now(message)

    def _build_handler(self, tp: TP, channels: MutableSet[Any]) -> ConsumerCallback:
        self._now[tp] = _deliverer(self.app, tp, channels)
        return super()._build_handler(tp, channels)


def _deliverer(app: AppT, tp: TP, channels: MutableSet[Any]) -> Callable[[Message], bool]:
    """Return a function that delivers messages of a partition, and returns whether it succeeded.

    Most of what Faust does for each message serves topics that several agents read.
    """
    consumer = app.consumer
    is_flowing = app.flow_control.is_active
    buffered = app.producer.buffer.pending
    on_topic_buffer_full = app.sensors.on_topic_buffer_full
    routes: dict[Any, _Route] = {}

    def on_pressure_high() -> None:
        on_topic_buffer_full(tp)
        consumer.on_buffer_full(tp)

    def on_pressure_drop() -> None:
        consumer.on_buffer_drop(tp)

    def deliver_now(message: Message) -> bool:
        if len(channels) != 1 or not is_flowing() or buffered.qsize():
            return False
        (channel,) = channels
        queue = channel.queue
        route = routes.get(channel)
        if route is None or route.queue is not queue:  # a join gives channels another one
            routes[channel] = route = _Route.of(app, channel)
        decode, _, events, high, put = route
        if decode is None:
            return False
        is_calm = len(events) < high
        if not is_calm and queue.full():
            return False
        try:
            event = decode(message)
        except (KeyDecodeError, ValueDecodeError, UnicodeDecodeError):
            return False
        message.refcount += 1  # without the lock of ``incref``, as nobody else has the message yet
        if is_calm:
            put(event)
        else:
            queue.put_nowait_enhanced(
                event, on_pressure_high=on_pressure_high, on_pressure_drop=on_pressure_drop
            )
        return True

    return deliver_now


def _decoder(app: AppT, channel: Any) -> _Decode | None:
    """Return a function that decodes the messages of a topic; ``None`` if the program decodes them itself."""
    schema = channel.schema
    # The code that Faust compiles is the same for every topic, unless the program overrides it.
    if getattr(channel.decode, "__code__", None) is not Schema.compile(schema, app).__code__:
        return None
    loads_key, loads_value = app.serializers.loads_key, app.serializers.loads_value
    plain_key, plain_value = key_loader(app, schema), value_loader(app, schema)
    empty_allowed = schema.allow_empty
    create_event = _event_maker(app)

    def decode(message: Message) -> EventT[Any]:
        key, value = message.key, message.value
        if plain_key is None:
            key = schema.loads_key(app, message, loads=loads_key)
        elif key is not None:
            key = plain_key(key)
        if value is None:
            if not empty_allowed:
                value = schema.loads_value(app, message, loads=loads_value)
        elif plain_value is None:
            value = schema.loads_value(app, message, loads=loads_value)
        else:
            value = plain_value(value)
        return create_event(key, value, message.headers, message)

    return decode


def _event_maker(app: Any) -> Callable[..., EventT[Any]]:
    """Return ``app.create_event``, without its lookup of a setting for each event."""
    if type(app).create_event is not faust.App.create_event:
        maker: Callable[..., EventT[Any]] = app.create_event
        return maker
    return partial(app.conf.Event, app)
