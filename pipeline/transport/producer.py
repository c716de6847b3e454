"""Producer: everything goes through one queue and one task, pipelined, in the order it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from faust.exceptions import ProducerSendError
from faust.streams import current_event
from faust.transport import base
from faust.types import TP, HeadersArg, Message, RecordMetadata
from faust.utils.terminal import SpinnerHandler
from mode import get_logger
from redis.exceptions import NoScriptError

from .buffer import Buffer
from .changelogs import FENCED
from .connection import REDIS_ERRORS, Command, Outage, is_unavailable
from .errors import NotOwnerError
from .keys import index_key, lease_key, stream_key, tombstones_key, topic_key
from .link import Link
from .sensing import Sensing
from .tasks import end
from .topics import TopicFacts, retention_ms
from .wire import encode, offset_of

if TYPE_CHECKING:
    from .driver import Transport

__all__ = ["Producer", "Told"]

logger = get_logger(__name__)

#: Entries per pipelined round trip. More would only delay the first confirmation.
BATCH_SIZE: Final = 500
#: Seconds in which further entries are gathered when the last batch is no longer ago than that: a round trip
#: costs about as much as ten messages. A message that comes alone never waits.
GATHER_TIME: Final = 0.002
#: Entries waiting before ``send`` makes its caller wait too. Enough to have the next batches ready; more
#: would only be more to lose: until it waits, a loop that does nothing but send never yields to the sender.
QUEUE_LIMIT: Final = 2_000
#: Seconds between tries while Redis is away, from the first to the longest.
RETRY_DELAYS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
#: Tries between words on one outage.
TELL_EVERY: Final = 10
_COMPACTED: Final = "append_compacted"
#: What a message may consist of once it is serialized.
_PLAIN: Final[tuple[type, ...]] = (bytes, type(None))
#: Seconds between renewals of the expiry of a partition with a retention.
RENEWAL_INTERVAL: Final = 30.0
#: Seconds a stopping producer goes on trying to get rid of what it still holds.
STOP_TIMEOUT: Final = 3.0
#: Seconds between looks at whether the app is stopping, while a flush waits for an absent Redis.
POLL_STOP: Final = 0.5


class Told(NamedTuple):
    """The sensors that were told of a message, and what they want to have back once it is confirmed."""

    sensors: Any
    state: Any


class _Entry(NamedTuple):
    number: int
    tp: TP
    command: Command
    confirmed: asyncio.Future[RecordMetadata]
    told: Told | None
    source: Message | None = None


class Refusal:
    """Redis has refused a message for good.

    Attributes:
        error: Why.
    """

    def __init__(self, error: ProducerSendError, entry: _Entry) -> None:
        self.error = error
        self._confirmed = entry.confirmed
        # Else Faust has looked at the outcome by itself, and it can't be known whether the agent did, too.
        self._knows_looks = entry.told is not None

    def is_unseen(self) -> bool:
        """Tell whether nobody has looked at the outcome so far. Asyncio complains no more that nobody did."""
        unseen = self._confirmed._log_traceback or not self._knows_looks
        self._confirmed.exception()
        return unseen


class Producer(base.Producer):
    """Adds entries to partitions.

    An entry whose confirmation got lost with the connection is sent again: delivery is at least once.
    Order within a partition is the order of ``send``.

    Attributes:
        refused: What Redis has refused for good, by the message that its agent was working on.
    """

    logger = logger

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = self._buffer = Buffer(self._changed, loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def __post_init__(self) -> None:
        self._queue: deque[_Entry] = deque()
        self._batch: list[_Entry] = []
        self._sent = 0
        self._renewals: dict[TP, float] = {}
        self._closed = False
        self._stop_deadline: float | None = None
        self._sender: asyncio.Task[None] | None = None
        self._wakeup = asyncio.Event()
        self._changed = asyncio.Event()
        self._produced = self.app.on_produce_message
        self._new_future: Callable[[], asyncio.Future[RecordMetadata]] = _future
        self.refused: dict[Message, list[Refusal]] = {}
        self.sensing = Sensing(self.app)

    @cached_property
    def _link(self) -> Link:
        return cast("Transport", self.transport).link

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
        return self._link.topics.known(topic) is not None and len(self._queue) < QUEUE_LIMIT

    async def make_room(self, topic: str) -> None:
        """Wait until a message to this topic can be queued, or the producer has stopped."""
        while not (self.has_room(topic) or self._closed):
            if self._link.topics.known(topic) is None:
                await self._persist(lambda: self._link.topics.facts(topic))
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
        told: Told | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Queue a message; there has to be room.

        Args:
            told: Sensors to tell when it is confirmed.

        Raises:
            ProducerSendError: As :meth:`send`.
            TypeError: Key or value are no bytes: the topic's serializer left them as they were.
        """
        if not (isinstance(key, _PLAIN) and isinstance(value, _PLAIN)):
            given = f"{type(key).__name__} and {type(value).__name__}"
            raise TypeError(f"topic {topic!r}: key and value have to be bytes or None, they are {given}")
        facts = self._link.topics.known(topic)
        if self._closed or facts is None:
            raise ProducerSendError("the producer has stopped")
        if partition is None:
            partition = self._link.topics.partition_for(topic, key)
        elif not 0 <= partition < facts.partitions:
            raise ProducerSendError(
                f"topic {topic!r} has {facts.partitions} partitions, no number {partition}"
            )
        # Its receivers, LiveCheck for one, may add to the headers.
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        self._produced.send(key=key, value=value, partition=partition, timestamp=timestamp, headers=pairs)
        tp = TP(topic, partition)
        fields = encode(key, value, pairs, timestamp)
        confirmed = self._new_future()
        if facts.compacting and key is not None:
            try:
                command = self._append_compacted(tp, key, fields, facts)
            except NotOwnerError as error:
                logger.warning("%s", error)
                self._refuse(_Entry(0, tp, (), confirmed, told), ProducerSendError(str(error)))
                return confirmed
        else:
            command = ("XADD", stream_key(topic, partition), "0-*", *fields)
        self._sent += 1
        working_on = current_event()
        source = working_on.message if working_on is not None else None
        self._queue.append(_Entry(self._sent, tp, command, confirmed, told, source))
        self._wakeup.set()
        return confirmed

    def _append_compacted(self, tp: TP, key: bytes, fields: list[bytes], facts: TopicFacts) -> Command:
        lease = self._link.changelogs.lease_for(tp)
        keys = [stream_key(*tp), index_key(*tp), lease_key(*tp, self.app.conf.id)]
        if not facts.retention:
            keys.append(tombstones_key(*tp))
        return self._link.scripts.command(_COMPACTED, keys, key, lease, *fields)

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
            TopicMismatchError: It is recorded with another number of partitions.
        """
        declare = partial(
            self._link.topics.declare,
            topic,
            partitions,
            retention=retention_ms(retention),
            compacting=bool(compacting),
        )
        await self._persist(declare)

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition that a key belongs to."""
        return TP(topic, self._link.topics.partition_for(topic, key))

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
            await end([self._sender])
        for entry in (*self._batch, *self._queue):
            self._refuse(entry, ProducerSendError("the producer has stopped"))
        await self._link.server.stream.close()
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
                await asyncio.sleep(_delay(attempt))
        raise AssertionError("unreachable")

    async def _wait_for_change(self, timeout: float | None = None) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    def _renewals_of(self, tps: set[TP]) -> list[Command]:
        """Have partitions with a retention expire whole once nobody has written to them for that long."""
        now = monotonic()
        commands: list[Command] = []
        for tp in tps:
            facts = self._link.topics.known(tp.topic)
            if facts is None or not facts.retention or facts.compacting:
                continue
            if self._renewals.get(tp, 0) > now:
                continue
            self._renewals[tp] = now + RENEWAL_INTERVAL
            expiry = max(facts.retention, int(RENEWAL_INTERVAL * 2000))
            commands += [
                ("PEXPIRE", stream_key(*tp), expiry),
                ("PEXPIRE", topic_key(tp.topic), expiry),
            ]
        return commands

    def _sender_ended(self, sender: asyncio.Task[None]) -> None:
        if not sender.cancelled() and (error := sender.exception()) is not None:
            # Without it every send would hang: better a worker that ends and says why.
            self._crashing = asyncio.ensure_future(self.crash(error))

    def _oldest_unconfirmed(self) -> int:
        """Return the number of the first entry not confirmed, or the next one to be sent."""
        if self._batch:
            return self._batch[0].number
        return self._queue[0].number if self._queue else self._sent + 1

    async def _send_queued(self) -> None:
        attempt = 0
        last = 0.0
        while not self._closed:
            if not self._queue:
                self._wakeup.clear()
                await self._wakeup.wait()
            await self._gather(is_busy=monotonic() - last < GATHER_TIME)
            self._batch = [self._queue.popleft() for _ in range(min(BATCH_SIZE, len(self._queue)))]
            left, trouble = await self._send_batch(self._batch)
            self._queue.extendleft(reversed(left))
            self._batch = []
            last = monotonic()
            self._changed.set()
            if left:
                if attempt % TELL_EVERY == 1:  # at first it may only not have known a script yet
                    logger.warning("Redis takes no messages (%s), %d are waiting", trouble, len(self._queue))
                await asyncio.sleep(_delay(attempt))
                attempt += 1
            else:
                attempt = 0

    async def _gather(self, *, is_busy: bool) -> None:
        seconds = self.linger_ms / 1000 or (GATHER_TIME if is_busy else 0)
        if seconds and len(self._queue) < BATCH_SIZE:
            await asyncio.sleep(seconds)

    async def _send_batch(self, batch: list[_Entry]) -> tuple[list[_Entry], Exception | None]:
        """Send a batch in one round trip; return what has to be sent again, in order, and why."""
        commands = [entry.command for entry in batch]
        commands += self._renewals_of({entry.tp for entry in batch})
        try:
            results = await self._link.server.stream.execute_many(commands)
        except Exception as error:
            if not is_unavailable(error):
                logger.exception("sending %d messages failed: %r", len(batch), error)
            await self._link.server.relearn()
            return batch, error
        left: list[_Entry] = []
        trouble: Exception | None = None
        for entry, result in zip(batch, results[: len(batch)], strict=True):
            if isinstance(result, Exception):
                if is_unavailable(result):
                    left.append(entry)
                    trouble = result
                else:
                    topic, partition = entry.tp
                    if str(result).startswith(FENCED):
                        self._link.changelogs.went_astray(entry.tp)
                    text = f"topic {topic!r}, partition {partition}: {result}"
                    logger.error("%s", text)
                    self._refuse(entry, ProducerSendError(text), by_redis=True)
            else:
                topic, partition = tp = entry.tp
                self._confirm(entry, RecordMetadata(topic, partition, tp, offset_of(result)))
        if isinstance(trouble, NoScriptError):
            await self._load_script()
        elif left:
            await self._link.server.relearn()
        return left, trouble

    async def _load_script(self) -> None:
        try:
            await self._link.scripts.load(_COMPACTED)
        except REDIS_ERRORS as error:
            logger.warning("Redis does not load a script (%s), trying again", error)

    def _confirm(self, entry: _Entry, metadata: RecordMetadata) -> None:
        if not entry.confirmed.done():
            entry.confirmed.set_result(metadata)
        if entry.told is not None:
            sensors, state = entry.told
            try:
                sensors.on_send_completed(self, state, metadata)
            except Exception:  # the program's own; it must not hold up the messages of all others
                logger.exception("a sensor failed that was told of a message")

    def _refuse(self, entry: _Entry, error: ProducerSendError, *, by_redis: bool = False) -> None:
        if not entry.confirmed.done():
            entry.confirmed.set_exception(error)
            if by_redis and entry.source is not None:
                self.refused.setdefault(entry.source, []).append(Refusal(error, entry))
            else:
                entry.confirmed.exception()  # nobody may be waiting for it
        if entry.told is not None:
            sensors, state = entry.told
            try:
                sensors.on_send_error(self, error, state)
            except Exception:
                logger.exception("a sensor failed that was told of an error")


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


def _delay(attempt: int) -> float:
    return RETRY_DELAYS[min(attempt, len(RETRY_DELAYS) - 1)]
