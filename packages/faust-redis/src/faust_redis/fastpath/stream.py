"""Streams: what an agent iterates over, at half of what an event costs in Faust.

The driver has an app make these where it would make Faust's own. They do what ``faust.Stream`` does, in the
same order, with less around it: no coroutine per step, no turn of the event loop per event, no sensor that
has nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any, Final, TypeVar, cast
from weakref import ref

import faust
from faust.exceptions import Skip
from faust.streams import _current_event
from faust.types import ChannelT, EventT
from mode.utils.futures import maybe_async

from faust_redis.consuming.consumer import Consumer
from faust_redis.fastpath.sensors import ActiveSensors

__all__ = ["Stream"]

_T = TypeVar("_T")

#: Seconds between looks at whether an agent that took batches takes them again.
LOOK: Final = 0.05
#: Events in a row before others have their turn. Faust lets them have it after each one.
BURST: Final = 16


class Stream(faust.Stream[_T]):
    """Faust's stream; what iterates over a topic takes the short way."""

    #: The task that fills the buffer of ``take()`` or one of its kin, and the processor that does.
    _filling: asyncio.Task[Any] | None = None
    _filler: Any = None

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over values."""
        return self._iterate(as_events=False) if self._is_of_topic() else super().__aiter__()

    def events(self) -> AsyncIterable[EventT[Any]]:
        """Iterate over events: values with key, headers and message."""
        return self._iterate(as_events=True) if self._is_of_topic() else super().events()

    def _is_of_topic(self) -> bool:
        own_ways = type(self.channel).__anext__ is not faust.Topic.__anext__
        return not own_ways and isinstance(self.app.consumer, Consumer)

    def _iterate(self, *, as_events: bool) -> AsyncGenerator[Any, None]:
        iterator = self._deliver(cast(Consumer, self.app.consumer), as_events)
        # Faust closes what an agent has left unfinished when the stream stops.
        self._active_agens.add(iterator)
        return iterator

    def _enable_passive(self, channel: ChannelT[Any], *, declare: bool = False) -> None:
        if not declare:  # called by take() and its kin, which have just put their processor in
            self._filler = self._processors[-1]
        super()._enable_passive(channel, declare=declare)

    async def _passive_drainer(self, channel: ChannelT[Any], declare: bool = False) -> None:
        if not declare:
            self._filling = asyncio.current_task()
        await super()._passive_drainer(channel, declare)

    async def _deliver(self, consumer: Consumer, as_events: bool) -> AsyncGenerator[Any, None]:
        self._finalized = True
        started_here = await self.maybe_start()
        app = self.app
        channel = cast(ChannelT[Any], self.channel)
        queue: Any = channel.queue
        errors, buffered = queue._errors, queue._queue
        is_flowing = app.flow_control.is_active
        acking_topics = app.topics.acking_topics
        track = consumer.unacked.add
        finish, abandon = consumer.acks.finish, consumer.failures.abandon
        sensing = ActiveSensors(app)
        is_filling = asyncio.current_task() is self._filling
        taken = 0
        try:
            while not self.should_stop:
                taken += 1
                if taken >= BURST:
                    taken = 0
                    await asyncio.sleep(0)
                    sensing.refresh()
                # As it was when the agent asked, as in Faust. What goes into batches is acked with them.
                acks = self.enable_acks and not is_filling
                if errors:
                    raise errors.popleft()
                if not buffered:
                    taken = 0
                    event = await channel.__anext__()
                    sensing.refresh()
                elif queue._pending_pressure_drop_callbacks or queue._putters:
                    event = queue.get_nowait()  # and tells who waits for room
                else:
                    event = buffered.popleft()
                if is_filling and self._filler not in self._processors:
                    # The agent has ended, and will take batches again when Faust has started it again. In
                    # Faust, what comes until then counts as done, though nobody has seen it.
                    buffered.appendleft(event)
                    queue._wakeup_next(queue._getters)
                    await asyncio.sleep(LOOK)
                    continue
                filler = self._filler
                message = event.message
                if message.generation_id != app.consumer_generation_id or not is_flowing():
                    self.log.dev("Skipping message %r, a rebalance has made it stale", message)
                    continue
                tp, offset = message.tp, message.offset
                if not message.tracked and message.topic in acking_topics:
                    message.tracked = True
                    track(message)
                    sensing.messages.on_message_in(tp, offset, message)
                sensors = sensing.events
                state = sensors.on_stream_event_in(tp, offset, self, event)
                _current_event.set(ref(event))
                self.current_event = event
                value = event.value
                skipped = False
                try:
                    for processor in self._processors:
                        value = await maybe_async(processor(value))
                    if self.join_strategy is not None:
                        value = await self.on_merge(value)
                except Skip:
                    skipped = True
                if is_filling and filler not in self._processors and not skipped:
                    # The agent ended while the event waited for room in its buffer, or for the others there.
                    sensors.on_stream_event_out(tp, offset, self, event, state)
                    abandon(message)
                    continue
                try:
                    if not skipped:
                        self.events_total += 1
                        yield event if as_events else value
                except (asyncio.CancelledError, GeneratorExit):
                    # The agent was torn away from the event, it did not ask for the next one.
                    self.current_event = None
                    if acks:
                        sensors.on_stream_event_out(tp, offset, self, event, state)
                        abandon(message)
                    raise
                self.current_event = None
                if acks or skipped:
                    last = finish(message) if message.refcount == 1 else event.ack()
                    sensors.on_stream_event_out(tp, offset, self, event, state)
                    if last:
                        sensing.messages.on_message_out(tp, offset, message)
        except StopAsyncIteration:
            return  # thrown into the queue: Faust's way to end a stream
        finally:
            self._channel_stop_iteration(channel)
            if started_here:
                await self.stop()
                self.service_reset()
