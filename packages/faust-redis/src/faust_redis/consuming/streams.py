"""Faust's stream class with repairs where it would lose events or stop working.

The driver sets this class, or that of the fast path, as the stream class of an app.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import Any, TypeVar, cast

import faust
from faust.exceptions import DecodeError
from faust.types import ChannelT, EventT, Message
from mode import Seconds, get_logger

from faust_redis.consuming.consumer import Consumer
from faust_redis.faust_hooks import streams

__all__ = ["BatchingStream"]

logger = get_logger(__name__)
_T = TypeVar("_T")


class BatchingStream(faust.Stream[_T]):
    """Faust's stream.

    - An undecodable event does not end ``take``, ``through``, ``group_by`` and related methods.
    - The events of an incomplete batch delay neither a stop nor a rebalance.
    - An actor of an agent with ``isolated_partitions`` receives events again after it has raised.
    """

    #: The processor that fills the buffer of ``take()`` or a method like it.
    _filler: Any = None
    #: Whether the agent has been given the events in that buffer.
    _batch_given = False

    @property
    def channels(self) -> list[Any]:
        """The channels whose events this stream yields."""
        return [self.channel]

    def channel_of(self, event: EventT[Any]) -> ChannelT[Any]:
        """Return the channel through which an event came."""
        return cast(ChannelT[Any], self.channel)

    def take(self, max_: int, within: Seconds) -> AsyncGenerator[Sequence[_T], None]:
        """Yield lists of values, as Faust does."""
        return self._batches(super().take(max_, within))

    def take_events(self, max_: int, within: Seconds) -> AsyncGenerator[Sequence[EventT[Any]], None]:
        """Yield lists of events, as Faust does."""
        return self._batches(super().take_events(max_, within))

    def take_with_timestamp(
        self, max_: int, within: Seconds, timestamp_field_name: str
    ) -> AsyncGenerator[Sequence[_T], None]:
        """Yield lists of values that hold their timestamps, as Faust does."""
        return self._batches(super().take_with_timestamp(max_, within, timestamp_field_name))

    def noack_take(self, max_: int, within: Seconds) -> AsyncGenerator[Sequence[_T], None]:
        """Yield lists of events that the agent acks itself, as Faust does."""
        return self._batches(super().noack_take(max_, within))

    async def _batches(self, batches: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        async with aclosing(batches):
            async for batch in batches:
                self._batch_given = True
                try:
                    with self._transaction():
                        yield batch
                finally:
                    self._batch_given = False

    def _transaction(self) -> AbstractContextManager[None]:
        """Put the events of the batch into one transaction, where each event counts exactly once."""
        consumer = self.app.consumer
        if not (isinstance(consumer, Consumer) and consumer.transactions_of_events is not None):
            return nullcontext()
        events = streams.batch_buffer(self._filler).events
        return consumer.transactions_of_events.batch(event.message for event in events)

    def _enable_passive(self, channel: ChannelT[Any], *, declare: bool = False) -> None:
        for own in self.channels:
            if isinstance(own, ChannelT):  # not if the stream is one of another iterable
                _survive_undecodable(own)
        if not declare:  # called by take() and methods like it, which have just added their processor
            self._filler = self._processors[-1]
            consumer = self.app.consumer
            if isinstance(consumer, Consumer):
                consumer.batching.add(self)
        super()._enable_passive(channel, declare=declare)

    def let_go(self) -> list[Message]:
        """Remove the events that wait for their batch from its buffer, and return their messages.

        A batch that the agent has been given, or that is complete, stays.
        """
        if self._batch_given or self._filler not in self._processors:
            return []
        buffer = streams.batch_buffer(self._filler)
        if buffer.is_complete():
            return []
        messages = [event.message for event in buffer.events]
        buffer.values.clear()
        buffer.events.clear()
        return messages

    def _channel_stop_iteration(self, channel: Any) -> None:
        # Faust takes the channel of an isolated partition out of the conductor here. An actor that raised, or
        # was cancelled, is started again with the same channel; the conductor forgets it if it is not.
        error = sys.exc_info()[1]
        is_isolated = getattr(channel, "active_partitions", None) is not None
        if not is_isolated or error is None or isinstance(error, StopAsyncIteration):
            super()._channel_stop_iteration(channel)


def _survive_undecodable(channel: ChannelT[Any]) -> None:
    """Have a channel keep errors of decoding from the stream that reads it for another.

    Faust throws them into the channel. An agent that reads it by itself is started again; the task that fills
    a batch, or forwards events for ``through``, would end for good. The event is a dead letter by then.
    """
    if "survives_undecodable" not in vars(channel):
        vars(channel)["survives_undecodable"] = True
        channel.throw = partial(_throw, channel, channel.throw)  # type: ignore[method-assign]


async def _throw(channel: ChannelT[Any], throw: Any, error: BaseException) -> None:
    if isinstance(error, DecodeError):
        logger.warning("%s: an event can't be decoded, the stream continues: %s", channel, error)
    else:
        await throw(error)
