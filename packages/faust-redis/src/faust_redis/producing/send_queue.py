"""Sending what was queued: one task, batches, the order of the queue, again and again while Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from faust.exceptions import ProducerSendError
from faust.transport import base
from faust.types import TP, Message, RecordMetadata
from mode import get_logger
from redis.exceptions import NoScriptError

from faust_redis.context import TransportContext
from faust_redis.log.changelogs import FENCED
from faust_redis.log.entries import offset_of
from faust_redis.log.keys import stream_key, topic_key
from faust_redis.redis.commands import REDIS_ERRORS, Command, is_unavailable

if TYPE_CHECKING:
    from faust_redis.driver import Transport

__all__ = ["COMPACTED", "OutgoingEntry", "SendRefusal", "Sending", "SensorCallbacks", "pause_after"]

logger = get_logger(__name__)

#: Seconds after a batch in which a message counts as one of many: it waits a turn of the event loop for what
#: other tasks send in it. A message that comes alone never waits, and none waits for a clock: the next batch
#: gathers by itself while one is on its way.
RECENT: Final = 0.002
#: Turns of the event loop that a batch is gathered for, as long as each brings more.
GATHER_TURNS: Final = 6
#: Seconds between tries while Redis is away, from the first to the longest.
RETRY_DELAYS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
#: Tries between words on one outage.
TELL_EVERY: Final = 10
#: Seconds between renewals of the expiry of a partition with a retention.
RENEWAL_INTERVAL: Final = 30.0
#: Kafka's number for timestamps that the sender sets.
CREATE_TIME: Final = 0
#: The script that adds to a compacted topic.
COMPACTED: Final = "append_compacted"


#: The sensors that were told of a message, and what they want to have back once it is confirmed.
SensorCallbacks = tuple[Any, Any]


class OutgoingEntry(NamedTuple):
    """A message that waits to be sent, or to be confirmed.

    Attributes:
        timestamp: Milliseconds since the epoch, as the entry holds them.
        source: The message that its agent was working on.
    """

    number: int
    tp: TP
    command: Command
    confirmed: asyncio.Future[RecordMetadata]
    told: SensorCallbacks | None
    timestamp: bytes
    source: Message | None = None


class SendRefusal:
    """Redis has refused a message for good.

    Attributes:
        error: Why.
    """

    def __init__(self, error: ProducerSendError, entry: OutgoingEntry) -> None:
        self.error = error
        self._confirmed = entry.confirmed
        # Else Faust has looked at the outcome by itself, and it can't be known whether the agent did, too.
        self._knows_looks = entry.told is not None

    def is_unseen(self) -> bool:
        """Tell whether nobody has looked at the outcome so far. Asyncio complains no more that nobody did."""
        unseen = self._confirmed._log_traceback or not self._knows_looks
        self._confirmed.exception()
        return unseen


class Sending(base.Producer):
    """The part of the producer that empties its queue.

    Attributes:
        refused: What Redis has refused for good, by the message that its agent was working on.
    """

    logger = logger

    def __post_init__(self) -> None:
        super().__post_init__()
        self._queue: deque[OutgoingEntry] = deque()
        self._batch: list[OutgoingEntry] = []
        self._sent = 0
        self._batch_size = self._context.options.send_batch
        self._renewals: dict[TP, float] = {}
        self._refreshed = monotonic()
        self._closed = False
        self._wakeup = asyncio.Event()
        self._changed = asyncio.Event()
        self.refused: dict[Message, list[SendRefusal]] = {}

    @cached_property
    def _context(self) -> TransportContext:
        return cast("Transport", self.transport).context

    def _oldest_unconfirmed(self) -> int:
        """Return the number of the first entry not confirmed, or the next one to be sent."""
        if self._batch:
            return self._batch[0].number
        return self._queue[0].number if self._queue else self._sent + 1

    async def _send_queued(self) -> None:
        attempt = 0
        last = 0.0
        with contextlib.suppress(*REDIS_ERRORS):  # if it is away, the first batch says so
            await self._context.server.stream.execute_many(())  # connects, so that no message waits for that
        while not self._closed:
            if not self._queue:
                self._wakeup.clear()
                await self._wakeup.wait()
            await self._gather(is_one_of_many=monotonic() - last < RECENT)
            self._batch = [self._queue.popleft() for _ in range(min(self._batch_size, len(self._queue)))]
            left, trouble = await self._send_batch(self._batch)
            self._queue.extendleft(reversed(left))
            self._batch = []
            last = monotonic()
            self._changed.set()
            await self._refresh_topics()
            if left:
                if attempt % TELL_EVERY == 1:  # at first it may only not have known a script yet
                    logger.warning("Redis takes no messages (%s), %d are waiting", trouble, len(self._queue))
                await asyncio.sleep(pause_after(attempt))
                attempt += 1
            else:
                attempt = 0

    async def _gather(self, *, is_one_of_many: bool) -> None:
        if self.linger_ms:
            if len(self._queue) < self._batch_size:
                await asyncio.sleep(self.linger_ms / 1000)
            return
        turns, gathered = (GATHER_TURNS if is_one_of_many else 0), 0
        while turns and gathered < len(self._queue) < self._batch_size:
            turns, gathered = turns - 1, len(self._queue)
            await asyncio.sleep(0)

    async def _send_batch(self, batch: list[OutgoingEntry]) -> tuple[list[OutgoingEntry], Exception | None]:
        """Send a batch in one round trip; return what has to be sent again, in order, and why."""
        commands = [entry.command for entry in batch]
        commands += self._renewals_of({entry.tp for entry in batch})
        try:
            results = await self._context.server.stream.execute_many(commands)
        except Exception as error:
            if not is_unavailable(error):
                logger.exception("sending %d messages failed: %r", len(batch), error)
            await self._context.server.refresh_topology()
            return batch, error
        left: list[OutgoingEntry] = []
        trouble: Exception | None = None
        for entry, result in zip(batch, results[: len(batch)], strict=True):
            if isinstance(result, Exception):
                if is_unavailable(result):
                    left.append(entry)
                    trouble = result
                else:
                    topic, partition = entry.tp
                    if str(result).startswith(FENCED):
                        self._context.changelogs.mark_diverged(entry.tp)
                    text = f"topic {topic!r}, partition {partition}: {result}"
                    logger.error("%s", text)
                    self._refuse(entry, ProducerSendError(text), by_redis=True)
            else:
                topic, partition = tp = entry.tp
                metadata = RecordMetadata(
                    topic, partition, tp, offset_of(result), int(entry.timestamp), CREATE_TIME
                )
                self._confirm(entry, metadata)
        if isinstance(trouble, NoScriptError):
            await self._load_script()
        elif left:
            await self._context.server.refresh_topology()
        return left, trouble

    async def _refresh_topics(self) -> None:
        """Look now and then at how others have declared the topics: one may be compacted from now on."""
        now = monotonic()
        if now - self._refreshed >= RENEWAL_INTERVAL:
            self._refreshed = now
            with contextlib.suppress(*REDIS_ERRORS):  # sending says so, and this is done again soon
                await self._context.topics.refresh()

    async def _load_script(self) -> None:
        try:
            await self._context.scripts.load(COMPACTED)
        except REDIS_ERRORS as error:
            logger.warning("Redis does not load a script (%s), trying again", error)

    def _confirm(self, entry: OutgoingEntry, metadata: RecordMetadata) -> None:
        if not entry.confirmed.done():
            entry.confirmed.set_result(metadata)
        if entry.told is not None:
            sensors, state = entry.told
            try:
                sensors.on_send_completed(self, state, metadata)
            except Exception:  # the program's own; it must not hold up the messages of all others
                logger.exception("a sensor failed that was told of a message")

    def _refuse(self, entry: OutgoingEntry, error: ProducerSendError, *, by_redis: bool = False) -> None:
        if not entry.confirmed.done():
            entry.confirmed.set_exception(error)
            if by_redis and entry.source is not None:
                self.refused.setdefault(entry.source, []).append(SendRefusal(error, entry))
            else:
                entry.confirmed.exception()  # nobody may be waiting for it
        if entry.told is not None:
            sensors, state = entry.told
            try:
                sensors.on_send_error(self, error, state)
            except Exception:
                logger.exception("a sensor failed that was told of an error")

    def _renewals_of(self, tps: set[TP]) -> list[Command]:
        """Have partitions with a retention expire whole once nobody has written to them for that long."""
        now = monotonic()
        commands: list[Command] = []
        for tp in tps:
            facts = self._context.topics.known(tp.topic)
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


def pause_after(attempt: int) -> float:
    """Return the seconds to wait after a failed attempt, counted from 0."""
    return RETRY_DELAYS[min(attempt, len(RETRY_DELAYS) - 1)]
