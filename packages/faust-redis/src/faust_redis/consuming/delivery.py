"""Deliver records to the streams that read their partition."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Protocol, cast

from faust.types import TP, AppT, ConsumerMessage, Message
from faust.types.transports import ConsumerCallback, SchedulingStrategyT

from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.round_robin import round_robin
from faust_redis.log.entries import REDELIVERY_HEADER, Record

__all__ = ["Deliverer", "Flow"]


class Flow(Protocol):
    """Answers whether a partition may be delivered."""

    async def before_events(self) -> None:
        """Prepare for the delivery of events."""

    def may_deliver(self, tp: TP, generation: int) -> bool:
        """Return whether a partition is owned under this generation, and its flow is on."""


class _Conductor(Protocol):
    def deliver(self, message: Message) -> bool: ...

    async def deliver_to(self, message: Message, channels: Set[Any]) -> None: ...


class Deliverer:
    """Delivers records, alternating between topics and partitions."""

    def __init__(
        self,
        app: AppT,
        reader: PartitionReader,
        flow: Flow,
        *,
        callback: ConsumerCallback,
        scheduler: SchedulingStrategyT,
    ) -> None:
        """Take what the consumer consists of.

        Args:
            callback: Delivers a message that the conductor can't deliver without waiting.
        """
        self._app = app
        self._reader = reader
        self._flow = flow
        self._may_deliver = flow.may_deliver
        self._callback = callback
        self._scheduler = scheduler

    async def deliver(self, records: Mapping[TP, list[Record]]) -> None:
        """Deliver records to the streams.

        Records that can't be delivered (their partition was paused, the flow stopped) stay pending and are
        claimed again; so are the rest when this is cancelled.
        """
        conductor = cast(_Conductor, self._app.topics)
        deliver_now = conductor.deliver
        generation = self._app.consumer_generation_id
        for tp in records:
            self._app.monitor.track_tp_end_offset(tp, self._reader.ends.get(tp, 0))
        order = round_robin(self._scheduler, records)
        done = 0
        left: list[tuple[TP, Record]] = []
        held: set[TP] = set()
        try:
            await self._flow.before_events()
            for tp, record in order:
                done += 1
                # An undelivered record holds back those after it, which would overtake it.
                if tp in held or not self._may_deliver(tp, generation):
                    left.append((tp, record))
                    held.add(tp)
                    continue
                message = message_of(tp, record, generation)
                queue = self._reader.queues.get(tp)
                if queue is not None:
                    queue.in_flight[record.offset] = message
                    if queue.again and record.offset in queue.again:
                        await conductor.deliver_to(message, queue.again[record.offset])
                        continue
                if not deliver_now(message):
                    await self._callback(message)
        finally:
            for tp, record in (*left, *order[done:]):
                self._reader.put_back(tp, record)


def message_of(tp: TP, record: Record, generation: int) -> ConsumerMessage:
    """Return a record as Faust's message; a redelivered one has the header ``redelivery``."""
    headers: Any = record.headers  # may hold None, which Faust's types leave out
    if record.attempts:
        headers = [*headers, (REDELIVERY_HEADER, b"%d" % record.attempts)]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        record.offset,
        record.timestamp / 1000,
        0,
        headers,
        record.key,
        record.value,
        None,
        len(record.key or b""),
        len(record.value or b""),
        tp,
        generation_id=generation,
    )
