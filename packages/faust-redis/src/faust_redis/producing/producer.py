"""Producer: all messages go through one queue and one task, pipelined, in the order they were sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from faust.exceptions import ProducerSendError
from faust.streams import current_event
from faust.transport import base
from faust.types import TP, HeadersArg, Message, RecordMetadata
from faust.types.tuples import FutureMessage
from mode import get_logger

from faust_redis.context import context_of
from faust_redis.errors import NotOwnerError, UnsupportedSettingError
from faust_redis.faust_hooks.apps import receivers_of
from faust_redis.log.entries import DeliveryHeader, encode
from faust_redis.log.topics import TopicFacts, retention_ms
from faust_redis.producing.appends import Destination, OutgoingEntry, SensorCallbacks, Target
from faust_redis.producing.buffer import Buffer
from faust_redis.producing.send_queue import CREATE_TIME, SendQueue, SendRefusal
from faust_redis.producing.tracing import TraceHeaders
from faust_redis.redis.commands import retry_while_unavailable

__all__ = ["Producer"]

logger = get_logger(__name__)

#: Types of keys and values once they are serialized.
_PLAIN: Final[tuple[type, ...]] = (bytes, type(None))
#: The offset, as with Kafka's ``acks=0``, of a message that is sent with the commit of its event.
NOT_YET: Final = -1
#: The header in which Faust's agents send the topic of the answer.
REPLY_TO: Final = "Faust-Ag-ReplyTo"
#: Seconds for which a stopping producer still tries to send its queue.
STOP_TIMEOUT: Final = 3.0


class Producer(base.Producer):
    """Adds entries to partitions.

    An entry whose confirmation was lost with the connection is sent again, and added once (``append.lua``).
    Order within a partition is the order of ``send``.

    Attributes:
        is_sending: Whether it has started, and not stopped.
    """

    logger = logger

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_sending = False
        self._context = context_of(self.transport)
        self._known = self._context.topics.known
        self._queue = SendQueue(
            self._context,
            self,
            linger_seconds=self.linger_ms / 1000,
            is_stopping=lambda: self.app.should_stop,
        )
        # Never shortened: each counts the messages sent to it.
        self._destinations: dict[tuple[str, int], Destination] = {}
        # Enough for the next batches. More would only be more to lose: until it waits, a loop that
        # only sends never yields to the sender.
        self._queue_limit = self._context.options.send_queue
        self._transactions = self._context.transactions
        self.buffer = self._buffer = Buffer(
            self._queue.changed, self._collect_buffered, loop=self.loop, beacon=self.beacon
        )
        self.buffer.app = self.app
        self._trace = TraceHeaders(self.app)
        self._produced: Any = self.app.on_produce_message
        self._receivers, self._filter_receivers = receivers_of(self._produced)
        self._new_future: Callable[[], asyncio.Future[RecordMetadata]] = _future

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Queue a message; wait only while the queue is full.

        Returns:
            A future that is resolved once Redis has confirmed the entry.

        Raises:
            ProducerSendError: The partition does not exist, or the producer is stopping. The future raises it
                for the changelog of a table whose partition another worker owns.
        """
        if not self.has_room(topic):
            await self.make_room(topic)
        return self.enqueue(topic, key, value, partition, timestamp, headers)

    @property
    def lost(self) -> int:
        """The number of messages that Redis confirmed to this producer and has lost since."""
        return self._queue.losses.count

    @property
    def resent(self) -> int:
        """The number of lost messages that it has sent again."""
        return self._queue.losses.resent

    @property
    def refused(self) -> dict[Message, list[SendRefusal]]:
        """The sends that Redis has refused for good, by the message that their agent was working on."""
        return self._queue.refused

    def has_room(self, topic: str) -> bool:
        """Return whether a message to this topic can be queued without waiting."""
        return self._known(topic) is not None and len(self._queue.entries) < self._queue_limit

    async def make_room(self, topic: str) -> None:
        """Wait until a message to this topic can be queued, or the producer has stopped."""
        while not (self.has_room(topic) or self._queue.is_closed):
            if self._known(topic) is None:
                await self._persist(lambda: self._context.topics.facts(topic))
            else:
                await self._queue.wait_for_change()

    def enqueue(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        callbacks: SensorCallbacks | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Queue a message; the caller has checked that there is space.

        Args:
            callbacks: Sensors to call once it is confirmed.

        Raises:
            ProducerSendError: As :meth:`send`.
            UnsupportedSettingError: An agent asks another one within an event that counts exactly once.
            TypeError: Key or value are not bytes because the topic's serializer did not convert them; or a
                header's name is not a string, or its value neither bytes nor ``None``.
        """
        if not (isinstance(key, _PLAIN) and isinstance(value, _PLAIN)):
            given = f"{type(key).__name__} and {type(value).__name__}"
            raise TypeError(f"topic {topic!r}: key and value have to be bytes or None, they are {given}")
        facts = self._known(topic)
        if self._queue.is_closed or facts is None:
            raise ProducerSendError("the producer has stopped")
        if partition is None:
            partition = self._context.topics.partition_for(topic, key)
        else:
            _require_partition(topic, partition, facts.partitions)
        pairs = _own_headers(headers) if headers else []
        self._trace.add_to(pairs)
        if self._receivers or self._filter_receivers:
            # Receivers, such as LiveCheck, may add headers.
            self._produced.send(key=key, value=value, partition=partition, timestamp=timestamp, headers=pairs)
        destination = self._destinations.get((topic, partition)) or self._new_destination(topic, partition)
        fields = encode(key, value, pairs, timestamp)
        if self._transactions is not None and (event := self._transactions.source()) is not None:
            self._refuse_question(pairs)
            self._transactions.add(event, topic, key, partition, fields)
            return self._collected(destination.tp, fields, callbacks)
        confirmed = self._new_future()
        target = destination.target
        if facts.compacting:
            try:
                target = self._compacted_target(destination, facts)
            except NotOwnerError as error:
                logger.warning("%s", error)
                refused = OutgoingEntry(0, target, 0, fields, confirmed, callbacks)
                self._queue.refuse(refused, ProducerSendError(str(error)))
                return confirmed
        working_on = current_event()
        source = working_on.message if working_on is not None else None
        self._queue.put(target, fields, confirmed, callbacks, source)
        return confirmed

    def _refuse_question(self, headers: list[tuple[str, bytes | None]]) -> None:
        """Refuse a request of ``ask`` that would be sent with the event that waits for its answer."""
        if (REPLY_TO, self.app.conf.reply_to.encode()) in headers:
            reason = (
                "within an event, ask() and map() would wait for ever, as their request is sent with its ack"
            )
            raise UnsupportedSettingError("processing_guarantee", "exactly_once", reason)

    def _collected(
        self, tp: TP, fields: list[bytes], callbacks: SensorCallbacks | None
    ) -> asyncio.Future[RecordMetadata]:
        """Return a resolved future for a message that is sent with its event, because its agent may wait."""
        metadata = RecordMetadata(*tp, tp, NOT_YET, int(fields[1]), CREATE_TIME)
        confirmed = self._new_future()
        confirmed.set_result(metadata)
        if callbacks is not None:
            sensors, state = callbacks
            sensors.on_send_completed(self, state, metadata)
        return confirmed

    def _collect_buffered(self, fut: FutureMessage) -> bool:
        """Add a message of a table or ``send_soon`` to the event that an agent works on.

        Returns:
            Whether there is such an event.
        """
        if self._transactions is None or (event := self._transactions.source()) is None:
            return False
        message: Any = fut.message
        topic = message.channel.get_topic_name()
        pairs = _own_headers(message.headers) if message.headers else []
        fields = encode(message.key, message.value, pairs, message.timestamp)
        self._transactions.add(event, topic, message.key, message.partition, fields)
        partition = NOT_YET if message.partition is None else message.partition
        tp = TP(topic, partition)
        fut.set_result(RecordMetadata(*tp, tp, NOT_YET, int(fields[1]), CREATE_TIME))
        if message.callback and not self._transactions.is_changelog(topic):
            message.callback(fut)
        return True

    def _new_destination(self, topic: str, partition: int) -> Destination:
        destination = Destination(TP(topic, partition), self._context.keys)
        self._destinations[topic, partition] = destination
        return destination

    def _compacted_target(self, destination: Destination, facts: TopicFacts) -> Target:
        lease = self._context.changelogs.lease_for(destination.tp)
        return destination.compacted_target(self._context.keys, facts, lease, self.app.conf.id)

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Send a message and wait until Redis has confirmed it."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    async def flush(self) -> None:
        """Wait until everything sent before this call is confirmed.

        While Redis is unavailable it waits, but only for a few seconds once the app stops. Cancelling it
        loses nothing.
        """
        with contextlib.suppress(TimeoutError):
            await self.confirm()

    async def confirm(self) -> None:
        """Wait as :meth:`flush` does, and return only if Redis has confirmed everything.

        Raises:
            TimeoutError: The app is stopping, and Redis was away for too long.
        """
        buffered = self._buffer.accepted
        last: int | None = None

        def is_confirmed() -> bool:
            nonlocal last
            if last is None and self._buffer.passed >= buffered:
                last = self._queue.sent
            return last is not None and self._queue.is_confirmed(last)

        await self._queue.wait_until(is_confirmed, stop_timeout=STOP_TIMEOUT)

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Any = 1000.0,
        retention: Any = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Record a topic in Redis.

        Raises:
            TopicMismatchError: It is recorded with another number of partitions, or the opposite of
                ``compacting``.
            TopicNameError: The name is not allowed for a topic.
        """
        declare = partial(
            self._context.topics.declare,
            topic,
            partitions,
            retention=retention_ms(retention),
            compacting=compacting,
        )
        await self._persist(declare)

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition that a key belongs to."""
        return TP(topic, self._context.topics.partition_for(topic, key))

    def supports_headers(self) -> bool:
        """Return true: entries carry headers."""
        return True

    async def on_start(self) -> None:
        """Start sending."""
        await super().on_start()
        # Getting the running loop is a system call, because Python checks whether the process was forked.
        self._new_future = partial(asyncio.Future, loop=asyncio.get_running_loop())
        self._queue.start(on_crash=self._sender_crashed)
        self.is_sending = True

    async def on_stop(self) -> None:
        """Send the rest of the queue, for a few seconds at most."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.confirm()
        except TimeoutError:
            logger.error("Redis is away, stopping without its confirmation")
        self.is_sending = False
        await self._queue.close()
        await self._context.server.stream.close()
        await super().on_stop()

    async def _persist(self, call: Callable[[], Awaitable[TopicFacts]]) -> TopicFacts:
        return await retry_while_unavailable(
            call, doing="the producer waits", is_stopping=lambda: self.should_stop
        )

    def _sender_crashed(self, error: BaseException) -> None:
        # Without the sending task every send would hang, so the worker ends with an error.
        self._crashing = asyncio.ensure_future(self.crash(error))


def _require_partition(topic: str, partition: int, partitions: int) -> None:
    if not 0 <= partition < partitions:
        raise ProducerSendError(f"topic {topic!r} has {partitions} partitions, but no partition {partition}")


def _own_headers(headers: HeadersArg) -> list[Any]:
    """Return headers as pairs, without those that belong to a delivery."""
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    return [pair for pair in pairs if type(pair[0]) is not DeliveryHeader]


def _future() -> asyncio.Future[RecordMetadata]:
    return asyncio.get_running_loop().create_future()
