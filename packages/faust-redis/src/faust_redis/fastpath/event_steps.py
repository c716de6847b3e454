"""The steps of one event on the fast path: taking it from its queue, beginning it, and ending it.

A stream runs them for each event, so every object they need is bound once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import ref

from faust.types import ChannelT, EventT, Message

from faust_redis.consuming.consumer import Consumer
from faust_redis.fastpath.sensors import ActiveSensors
from faust_redis.faust_hooks import queues, streams

__all__ = ["STALE", "EventSteps", "QueueReader"]

#: Events in a row before other tasks may run. Faust lets them run after each event.
BURST: Final = 16
#: Returned by :meth:`EventSteps.begin` for an event that a rebalance has made stale.
STALE: Final = object()


class QueueReader:
    """Takes the events of a channel from its queue, without a coroutine for each."""

    def __init__(self, channel: ChannelT[Any], consumer: Consumer, refresh: Callable[[], None]) -> None:
        """Take a channel, and a function to call after other tasks were allowed to run."""
        self._channel = channel
        self._consumer = consumer
        self._refresh = refresh
        self._get_nowait = channel.queue.get_nowait
        self._errors = queues.thrown_errors(channel.queue)
        self._buffered = queues.buffered_events(channel.queue)
        self._drops = queues.pressure_drop_callbacks(channel.queue)
        self._putters = queues.waiting_putters(channel.queue)
        self._taken = 0

    def take(self) -> EventT[Any] | None:
        """Return the next event; ``None`` if there is none, or if other tasks should run first.

        Raises:
            Exception: The error that was thrown into the queue.
        """
        if self._errors:
            raise self._errors.popleft()
        self._taken += 1
        if not self._buffered or self._taken > BURST or self._consumer.is_undoing:
            return None
        event: EventT[Any]
        # Faust's own path also wakes tasks that wait for space.
        event = self._get_nowait() if self._drops or self._putters else self._buffered.popleft()
        return event

    def take_more(self, limit: int) -> list[EventT[Any]]:
        """Return the events that wait, at most ``limit``; none while an error waits in the queue."""
        if self._errors or self._consumer.is_undoing:
            return []
        if self._drops or self._putters:
            more = [self._get_nowait() for _ in range(min(limit, len(self._buffered)))]
        else:
            take = self._buffered.popleft
            more = [take() for _ in range(min(limit, len(self._buffered)))]
        self._taken += len(more)
        return more

    async def wait(self) -> EventT[Any]:
        """Let other tasks run, then return the next event.

        Raises:
            StopAsyncIteration: The stream has ended.
        """
        self._taken = 0
        if self._buffered:
            await asyncio.sleep(0)
            self._refresh()
            event = self.take()
            if event is not None:
                return event
        event = await self._channel.__anext__()
        if self._consumer.is_undoing:
            await self._consumer.undone()
        self._refresh()
        return event

    def put_back(self, event: EventT[Any]) -> None:
        """Make an event the next one again."""
        self._buffered.appendleft(event)
        queues.wake_getter(self._channel.queue)


class EventSteps:
    """Begins and ends the events of one stream as Faust does: acks, sensors, the current event."""

    def __init__(self, stream: Any, consumer: Consumer, sensors: ActiveSensors) -> None:
        app = stream.app
        self._stream = stream
        self._app = app
        self._sensors = sensors
        self._is_flowing = app.flow_control.is_active
        self._acking_topics = app.topics.acking_topics
        self._track = consumer.acks.unacked.add
        self._record = consumer.acks.record
        self._ack = consumer.failures.ack
        self._failed = consumer.failures.shares.failed
        self._abandon = consumer.failures.abandon
        self._set_current = streams.current_event_variable().set

    def begin_all(self, events: Iterable[EventT[Any]]) -> list[tuple[EventT[Any], Any]]:
        """Begin events that are handled together, none of them the current one; return their states.

        Events that a rebalance has made stale are left out.
        """
        begun = [(event, state) for event in events if (state := self.begin(event)) is not STALE]
        self.rest()
        return begun

    def rest(self) -> None:
        """Make no event the current one."""
        self._set_current(None)
        self._stream.current_event = None

    def begin(self, event: EventT[Any]) -> Any:
        """Make an event the current one; return the state of the sensors, or :data:`STALE`."""
        message: Message = event.message
        if message.generation_id != self._app.consumer_generation_id or not self._is_flowing():
            self._stream.log.dev("Skipping message %r, a rebalance has made it stale", message)
            return STALE
        tp, offset = message.tp, message.offset
        if not message.tracked and message.topic in self._acking_topics:
            message.tracked = True
            self._track(message)
            self._sensors.messages.on_message_in(tp, offset, message)
        state = self._sensors.events.on_stream_event_in(tp, offset, self._stream, event)
        self._set_current(ref(event))
        self._stream.current_event = event
        return state

    def finish(self, event: EventT[Any], state: Any) -> None:
        """Ack an event."""
        message: Message = event.message
        if message.refcount == 1 and not self._failed:
            message.refcount = 0
            last = self._record(message)
        else:
            last = self._ack(event, self._stream.channel_of(event))
        tp, offset = message.tp, message.offset
        self._sensors.events.on_stream_event_out(tp, offset, self._stream, event, state)
        if last:
            self._sensors.messages.on_message_out(tp, offset, message)

    def abandon(self, event: EventT[Any], state: Any) -> None:
        """End an event that its agent did not finish."""
        message = event.message
        self._sensors.events.on_stream_event_out(message.tp, message.offset, self._stream, event, state)
        self._abandon(message, self._stream.channel_of(event))
