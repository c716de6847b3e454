"""Producer: everything goes through one queue and one task, pipelined, in the order it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from time import monotonic
from typing import Any, Final

from faust.exceptions import ProducerSendError
from faust.streams import current_event
from faust.types import TP, HeadersArg, RecordMetadata
from faust.utils.terminal import SpinnerHandler
from mode import get_logger

from faust_redis.errors import NotOwnerError
from faust_redis.fastpath.sensors import Sensing
from faust_redis.log.entries import DeliveryHeader, encode
from faust_redis.log.keys import index_key, lease_key, stream_key, tombstones_key
from faust_redis.log.topics import TopicFacts, retention_ms
from faust_redis.producing.buffer import Buffer
from faust_redis.producing.send_queue import COMPACTED, OutgoingEntry, Sending, SensorCallbacks, pause_after
from faust_redis.redis.commands import Command, Outage, is_unavailable
from faust_redis.tasks import cancel_and_wait

__all__ = ["Producer"]

logger = get_logger(__name__)

#: What a message may consist of once it is serialized.
_PLAIN: Final[tuple[type, ...]] = (bytes, type(None))
#: Partitions of which the names of their streams are kept.
TARGETS: Final = 4_096
#: Seconds a stopping producer goes on trying to get rid of what it still holds.
STOP_TIMEOUT: Final = 3.0
#: Seconds between looks at whether the app is stopping, while a flush waits for an absent Redis.
POLL_STOP: Final = 0.5


class Producer(Sending):
    """Adds entries to partitions.

    An entry whose confirmation got lost with the connection is sent again: delivery is at least once.
    Order within a partition is the order of ``send``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = self._buffer = Buffer(self._changed, loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def __post_init__(self) -> None:
        super().__post_init__()
        # Enough to have the next batches ready; more would only be more to lose: until it waits, a loop that
        # does nothing but send never yields to the sender.
        self._queue_limit = self._context.options.send_queue
        self._stop_deadline: float | None = None
        self._sender: asyncio.Task[None] | None = None
        self._produced: Any = self.app.on_produce_message
        self._new_future: Callable[[], asyncio.Future[RecordMetadata]] = _future
        self.sensing = Sensing(self.app)

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
    def is_sending(self) -> bool:
        """Whether it has started, and not stopped."""
        return self._sender is not None and not self._closed

    def has_room(self, topic: str) -> bool:
        """Tell whether a message to this topic can be queued without waiting."""
        return self._context.topics.known(topic) is not None and len(self._queue) < self._queue_limit

    async def make_room(self, topic: str) -> None:
        """Wait until a message to this topic can be queued, or the producer has stopped."""
        while not (self.has_room(topic) or self._closed):
            if self._context.topics.known(topic) is None:
                await self._persist(lambda: self._context.topics.facts(topic))
            else:
                await self._wait_for_change()

    def enqueue(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        told: SensorCallbacks | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Queue a message; there has to be room.

        Args:
            told: Sensors to tell when it is confirmed.

        Raises:
            ProducerSendError: As :meth:`send`.
            TypeError: Key or value are no bytes: the topic's serializer left them as they were. Or a header's
                name is no string, its value neither bytes nor ``None``.
        """
        if not (isinstance(key, _PLAIN) and isinstance(value, _PLAIN)):
            given = f"{type(key).__name__} and {type(value).__name__}"
            raise TypeError(f"topic {topic!r}: key and value have to be bytes or None, they are {given}")
        facts = self._context.topics.known(topic)
        if self._closed or facts is None:
            raise ProducerSendError("the producer has stopped")
        if partition is None:
            partition = self._context.topics.partition_for(topic, key)
        elif not 0 <= partition < facts.partitions:
            raise ProducerSendError(
                f"topic {topic!r} has {facts.partitions} partitions, no number {partition}"
            )
        pairs = _own_headers(headers) if headers else []
        produced = self._produced
        if produced._receivers or produced._filter_receivers:
            # They, LiveCheck for one, may add to the headers.
            produced.send(key=key, value=value, partition=partition, timestamp=timestamp, headers=pairs)
        tp, stream = _target(topic, partition)
        fields = encode(key, value, pairs, timestamp)
        confirmed = self._new_future()
        if facts.compacting and key is not None:
            try:
                command = self._append_compacted(tp, key, fields, facts)
            except NotOwnerError as error:
                logger.warning("%s", error)
                self._refuse(
                    OutgoingEntry(0, tp, (), confirmed, told, fields[1]), ProducerSendError(str(error))
                )
                return confirmed
        else:
            command = ("XADD", stream, "0-*", *fields)
        self._sent += 1
        working_on = current_event()
        source = working_on.message if working_on is not None else None
        self._queue.append(OutgoingEntry(self._sent, tp, command, confirmed, told, fields[1], source))
        self._wakeup.set()
        return confirmed

    def _append_compacted(self, tp: TP, key: bytes, fields: list[bytes], facts: TopicFacts) -> Command:
        lease = self._context.changelogs.lease_for(tp)
        keys = [stream_key(*tp), index_key(*tp), lease_key(*tp, self.app.conf.id)]
        if not facts.retention:
            keys.append(tombstones_key(*tp))
        return self._context.scripts.command(COMPACTED, keys, key, lease, *fields)

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

        Goes on waiting while Redis is away, but only for a few seconds once the app stops. Cancelling it
        loses nothing.
        """
        with contextlib.suppress(TimeoutError):
            await self.confirm()

    async def confirm(self) -> None:
        """Flush, and be certain: what returns was confirmed by Redis.

        Raises:
            TimeoutError: The app is stopping, and Redis was away for too long.
        """
        buffered = self._buffer.accepted
        last: int | None = None

        def is_confirmed() -> bool:
            nonlocal last
            if last is None and self._buffer.passed >= buffered:
                last = self._sent
            return last is not None and self._oldest_unconfirmed() > last

        while not (is_confirmed() or self._closed):
            if not self.app.should_stop:
                await self._wait_for_change(POLL_STOP)
                continue
            if self._stop_deadline is None:
                self._stop_deadline = monotonic() + STOP_TIMEOUT
            left = self._stop_deadline - monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"stopping with {len(self._batch) + len(self._queue)} unconfirmed messages"
                )
            await self._wait_for_change(left)
        if not is_confirmed():
            raise TimeoutError("the producer has stopped")

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
            TopicNameError: The name is none for a topic.
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
        """Begin to send."""
        await super().on_start()
        self._closed = False
        # To ask which loop runs is a system call, as Python looks whether the process was forked.
        self._new_future = asyncio.get_running_loop().create_future
        # Faust asks before each message whether the producer has started, and takes three turns of the event
        # loop for it.
        self.app.__dict__["maybe_start_producer"] = self._as_started
        _log_sends_only_where_they_show()
        self._sender = asyncio.create_task(self._send_queued())
        self._sender.add_done_callback(self._sender_ended)

    async def on_stop(self) -> None:
        """Send what is still queued, for a few seconds at the most."""
        self.app.__dict__.pop("maybe_start_producer", None)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.confirm()
        except TimeoutError:
            logger.error("Redis is away, stopping without its confirmation")
        self._closed = True
        self._changed.set()
        if self._sender is not None:
            await cancel_and_wait([self._sender])
        for entry in (*self._batch, *self._queue):
            self._refuse(entry, ProducerSendError("the producer has stopped"))
        await self._context.server.stream.close()
        await super().on_stop()

    async def _as_started(self) -> Producer:
        return self

    async def _persist(self, call: Callable[[], Awaitable[TopicFacts]]) -> TopicFacts:
        outage = Outage("the producer waits")
        for attempt in itertools.count():
            try:
                return await call()
            except Exception as error:
                if not is_unavailable(error) or self.should_stop:
                    raise
                outage.tell(error)
                await asyncio.sleep(pause_after(attempt))
        raise AssertionError("unreachable")

    async def _wait_for_change(self, timeout: float | None = None) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    def _sender_ended(self, sender: asyncio.Task[None]) -> None:
        if not sender.cancelled() and (error := sender.exception()) is not None:
            # Without it every send would hang: better a worker that ends and says why.
            self._crashing = asyncio.ensure_future(self.crash(error))


@lru_cache(TARGETS)
def _target(topic: str, partition: int) -> tuple[TP, str]:
    return TP(topic, partition), stream_key(topic, partition)


def _own_headers(headers: HeadersArg) -> list[Any]:
    """Return headers as pairs, without those of the delivery that they may come from."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [pair for pair in pairs if type(pair[0]) is not DeliveryHeader]


def _log_sends_only_where_they_show() -> None:
    """Keep Faust from making a log record of each message that no handler would show.

    At its default level ``faust worker`` has the root logger take everything, for the spinner it shows while
    it starts.
    """
    handlers = [each for each in logging.root.handlers if not isinstance(each, SpinnerHandler)]
    if len(handlers) < len(logging.root.handlers):
        level = min((each.level for each in handlers), default=logging.WARNING)
        logging.getLogger("faust.topics").setLevel(level)


def _future() -> asyncio.Future[RecordMetadata]:
    return asyncio.get_running_loop().create_future()
