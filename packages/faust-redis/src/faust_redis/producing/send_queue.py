"""The send queue: one task sends messages in batches, in order, and retries while Redis is unavailable."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from faust.exceptions import ProducerSendError
from faust.types import TP, Message, RecordMetadata
from faust.types.transports import ProducerT
from mode import get_logger
from redis.exceptions import NoScriptError

from faust_redis.context import TransportContext
from faust_redis.faust_hooks.connections import is_error_unseen
from faust_redis.log.changelogs import FENCED
from faust_redis.producing.appends import (
    OUT_OF_ORDER,
    Append,
    OutgoingEntry,
    SensorCallbacks,
    Target,
    command_for,
    group,
    pages,
    results_of,
)
from faust_redis.producing.losses import Losses
from faust_redis.redis.commands import REDIS_ERRORS, Command, Outage, is_unavailable, pause_after
from faust_redis.redis.scripts import APPEND, APPEND_MANY
from faust_redis.tasks import cancel_and_wait

__all__ = ["CREATE_TIME", "SendQueue", "SendRefusal"]

logger = get_logger(__name__)

#: Seconds after a batch in which a message counts as one of many: it waits an iteration of the event loop for
#: messages of other tasks. A single message never waits, and none waits for a timer: the next batch
#: collects while one is being sent.
RECENT: Final = 0.002
#: Iterations of the event loop for which a batch is collected, as long as each brings more.
GATHER_TURNS: Final = 6
#: Attempts between log lines about one outage.
LOG_EVERY: Final = 10
#: Seconds between renewals of the expiry of a partition with a retention.
RENEWAL_INTERVAL: Final = 30.0
#: Kafka's number for timestamps that the sender sets.
CREATE_TIME: Final = 0
#: Seconds between checks whether the app is stopping, while a flush waits for an unavailable Redis.
POLL_STOP: Final = 0.5
#: Seconds between attempts to look for lost messages while Redis is unavailable.
CHECK_DELAY: Final = 0.2

_SCRIPTS: Final = (APPEND, APPEND_MANY)


class SendRefusal:
    """A message that Redis has refused for good.

    Attributes:
        error: The reason.
    """

    def __init__(self, error: ProducerSendError, entry: OutgoingEntry) -> None:
        self.error = error
        self._confirmed = entry.confirmed
        # Without callbacks Faust itself has read the outcome, so whether the agent did is unknown.
        self._records_looks = entry.callbacks is not None

    def is_unseen(self) -> bool:
        """Return whether no agent has looked at the outcome; asyncio no longer complains about that."""
        unseen = is_error_unseen(self._confirmed) or not self._records_looks
        self._confirmed.exception()
        return unseen


class SendQueue:
    """The messages of one producer on their way to Redis.

    Attributes:
        changed: Set whenever a batch is done; :meth:`wait_until` waits for it.
        refused: The sends that Redis has refused for good, by the message that their agent was working on.
        entries: The messages that wait to be sent.
        losses: Counts confirmed messages that Redis has lost.
        is_closed: Whether it was closed.
    """

    def __init__(
        self,
        context: TransportContext,
        producer: ProducerT,
        *,
        linger_seconds: float,
        is_stopping: Callable[[], bool],
    ) -> None:
        """Take the producer to pass to sensors.

        Args:
            linger_seconds: Seconds for which a batch collects; 0 for a few iterations of the event loop.
            is_stopping: Returns whether the app stops.
        """
        self._context = context
        self._producer = producer
        self._linger_seconds = linger_seconds
        self._is_stopping = is_stopping
        self._batch_size = context.options.send_batch
        self._outage = Outage("sending")
        # Watchers draw by it which app writes a topic.
        self._producer_id = f"{uuid.uuid4().hex}@{producer.transport.app.conf.id}"
        self.losses = Losses(context, self._producer_id)
        self.entries: deque[OutgoingEntry] = deque()
        self._batch: list[OutgoingEntry] = []
        self._renewals: dict[TP, float] = {}
        self._refreshed = monotonic()
        self._wakeup = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._stop_deadline: float | None = None
        self.sent = 0
        self.is_closed = False
        self.changed = asyncio.Event()
        self.refused: dict[Message, list[SendRefusal]] = {}

    def start(self, on_crash: Callable[[BaseException], None]) -> None:
        """Start sending; ``on_crash`` is called with an error that ends the sending task."""
        self.is_closed = False

        def ended(sender: asyncio.Task[None]) -> None:
            if not sender.cancelled() and (error := sender.exception()) is not None:
                on_crash(error)

        self._context.server.stream.on_lost = self._connection_lost
        self._sender = asyncio.create_task(self._send_queued())
        self._sender.add_done_callback(ended)

    async def close(self) -> None:
        """Stop sending; the rest of the queue is refused."""
        self.is_closed = True
        self.changed.set()
        if self._sender is not None:
            await cancel_and_wait([self._sender])
        self.losses.close()
        for entry in (*self._batch, *self.entries):
            self.refuse(entry, ProducerSendError("the producer has stopped"))

    def put(
        self,
        target: Target,
        fields: list[bytes],
        confirmed: asyncio.Future[RecordMetadata],
        callbacks: SensorCallbacks | None,
        source: Message | None,
    ) -> None:
        """Add a message; ``confirmed`` is resolved once Redis has it."""
        self.sent += 1
        destination = target.destination
        destination.sent += 1
        self.entries.append(
            OutgoingEntry(self.sent, target, destination.sent, fields, confirmed, callbacks, source)
        )
        self._wakeup.set()

    def is_confirmed(self, number: int) -> bool:
        """Return whether Redis has confirmed, or refused, the first ``number`` messages."""
        return self._oldest_unconfirmed() > number

    def _oldest_unconfirmed(self) -> int:
        if self._batch:
            return self._batch[0].number
        return self.entries[0].number if self.entries else self.sent + 1

    async def wait_for_change(self, timeout: float | None = None) -> None:
        """Wait until a batch is done, or for ``timeout`` seconds."""
        self.changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.changed.wait()

    async def wait_until(self, condition: Callable[[], bool], *, stop_timeout: float) -> None:
        """Wait until a condition holds that depends on what was sent.

        Args:
            stop_timeout: Seconds to keep waiting after the app has begun to stop.

        Raises:
            TimeoutError: The app is stopping, and Redis was away for too long.
        """
        while not (condition() or self.is_closed):
            if not self._is_stopping():
                await self.wait_for_change(POLL_STOP)
                continue
            if self._stop_deadline is None:
                self._stop_deadline = monotonic() + stop_timeout
            left = self._stop_deadline - monotonic()
            if left <= 0:
                unconfirmed = len(self._batch) + len(self.entries)
                raise TimeoutError(f"stopping with {unconfirmed} unconfirmed messages")
            await self.wait_for_change(left)
        if not condition():
            raise TimeoutError("the producer has stopped")

    async def _send_queued(self) -> None:
        failures = 0
        last = 0.0
        with contextlib.suppress(*REDIS_ERRORS):  # if it is unavailable, the first batch logs this
            # So that no message waits for a connection or the script.
            await self._context.server.stream.execute_many(())
            for script in _SCRIPTS:
                await self._context.scripts.load(script)
        while not self.is_closed:
            if not self.entries:
                self._wakeup.clear()
                if not self.losses.is_due:
                    await self._wakeup.wait()
            if self.losses.is_due:
                await self._check_losses()
                continue
            await self._gather(is_one_of_many=monotonic() - last < RECENT)
            self._batch = [self.entries.popleft() for _ in range(min(self._batch_size, len(self.entries)))]
            left, trouble = await self._send_batch(self._batch)
            self.entries.extendleft(reversed(left))
            self._batch = []
            last = monotonic()
            self.changed.set()
            await self._refresh_topics()
            if trouble is not None:
                failures += 1
                if failures % LOG_EVERY == 2:  # the first failure may only be a missing script
                    logger.warning("Redis takes no messages (%s), %d are waiting", trouble, len(self.entries))
                await asyncio.sleep(pause_after(failures))
            else:
                failures = 0

    def _connection_lost(self) -> None:
        """Have the sender compare records before it sends anything further."""
        self.losses.is_due = True
        self._wakeup.set()

    async def _check_losses(self) -> None:
        """Compare what Redis has confirmed with its records, and put lost messages in front of the queue.

        When Redis is unavailable, wait a moment.
        """
        try:
            self.entries.extendleft(reversed(await self.losses.check()))
        except Exception as error:
            if not is_unavailable(error):
                logger.exception("checking for lost messages failed: %r", error)
                self.losses.is_due = False
                return
            self._outage.log(error)
            await self._context.server.refresh_topology()
            await asyncio.sleep(CHECK_DELAY)

    async def _gather(self, *, is_one_of_many: bool) -> None:
        if self._linger_seconds:
            if len(self.entries) < self._batch_size:
                await asyncio.sleep(self._linger_seconds)
            return
        turns, gathered = (GATHER_TURNS if is_one_of_many else 0), 0
        while turns and gathered < len(self.entries) < self._batch_size:
            turns, gathered = turns - 1, len(self.entries)
            await asyncio.sleep(0)

    async def _send_batch(self, batch: list[OutgoingEntry]) -> tuple[list[OutgoingEntry], Exception | None]:
        """Send a batch in one round trip.

        Returns:
            The entries that have to be sent again, in order; and the reason if Redis is unavailable.
        """
        appends, left = group(batch)
        parts = pages(appends, together=self._context.server.stream.keeps_order)
        calls = [command_for(page, self._producer_id) for page in parts]
        renewals = self._renewals_of({append.target.destination.tp for append in appends})
        try:
            results = await self._context.server.stream.execute_many([*calls, *renewals])
        except Exception as error:
            if not is_unavailable(error):
                logger.exception("sending %d messages failed: %r", len(batch), error)
            await self._context.server.refresh_topology()
            return batch, error
        results = results_of(parts, results[: len(parts)])
        trouble: Exception | None = None
        for append, result in zip(appends, results, strict=True):
            if not isinstance(result, Exception):
                self._confirm(append, result)
                continue
            again, reason = self._refused(append, result)
            left += again
            trouble = trouble or reason
        if any(isinstance(result, NoScriptError) for result in results):
            await self._load_script()
        elif trouble is not None:
            await self._context.server.refresh_topology()
        return sorted(left, key=lambda entry: entry.number), trouble

    def _refused(self, append: Append, error: Exception) -> tuple[list[OutgoingEntry], Exception | None]:
        """Handle the error of a call.

        Returns:
            The entries that have to be sent again; and the error if they should wait a moment.
        """
        entries, destination = append.entries, append.target.destination
        text = str(error)
        if text.startswith(OUT_OF_ORDER):
            if append.before is not None:
                return entries, None  # the call before it was refused, and decides whether they wait
            self.losses.is_due = True
            return entries, error
        if is_unavailable(error):
            return entries, error
        if text.startswith(FENCED):
            self._context.changelogs.mark_diverged(destination.tp)
        elif len(entries) > 1:
            # One of them may be the reason, such as one that is too large: it is looked for by halves.
            destination.limit = len(entries) // 2
            return entries, None
        elif destination.limit:
            destination.limit = 1  # the next one may be refused as well
        for entry in entries:
            self._refuse_for_good(entry, error)
        return [], None

    async def _refresh_topics(self) -> None:
        """Refresh the declarations of topics occasionally: one may have become compacted."""
        now = monotonic()
        if now - self._refreshed >= RENEWAL_INTERVAL:
            self._refreshed = now
            with contextlib.suppress(*REDIS_ERRORS):  # sending logs the outage, and this is repeated soon
                await self._context.topics.refresh()

    async def _load_script(self) -> None:
        try:
            for script in _SCRIPTS:
                await self._context.scripts.load(script)
        except REDIS_ERRORS as error:
            logger.warning("Redis does not load a script (%s), trying again", error)

    def _confirm(self, append: Append, result: Any) -> None:
        destination = append.target.destination
        topic, partition = tp = destination.tp
        if destination.limit:
            destination.limit = 2 * destination.limit if destination.limit < self._batch_size else 0
        offsets = append.offsets(result)
        for entry, offset in zip(append.entries, offsets, strict=True):
            metadata = RecordMetadata(topic, partition, tp, offset, int(entry.fields[1]), CREATE_TIME)
            if not entry.confirmed.done():
                entry.confirmed.set_result(metadata)
            if entry.callbacks is not None:
                sensors, state = entry.callbacks
                try:
                    sensors.on_send_completed(self._producer, state, metadata)
                except Exception:  # a sensor of the program, which must not block all other messages
                    logger.exception("a sensor failed in on_send_completed")
        self.losses.note(destination, append.entries, offsets[-1])

    def _refuse_for_good(self, entry: OutgoingEntry, reason: Exception) -> None:
        topic, partition = entry.target.destination.tp
        error = ProducerSendError(f"topic {topic!r}, partition {partition}: {reason}")
        logger.error("%s", error)
        if entry.source is not None and not entry.confirmed.done():
            self.refused.setdefault(entry.source, []).append(SendRefusal(error, entry))
            entry.confirmed.set_exception(error)
        self.refuse(entry, error)

    def refuse(self, entry: OutgoingEntry, error: ProducerSendError) -> None:
        """Complete a message with an error."""
        if not entry.confirmed.done():
            entry.confirmed.set_exception(error)
            entry.confirmed.exception()  # there may be no caller that waits for it
        if entry.callbacks is not None:
            sensors, state = entry.callbacks
            try:
                sensors.on_send_error(self._producer, error, state)
            except Exception:
                logger.exception("a sensor failed in on_send_error")

    def _renewals_of(self, tps: set[TP]) -> list[Command]:
        """Return the commands that renew the expiry of partitions with a retention."""
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
                ("PEXPIRE", self._context.keys.stream(tp), expiry),
                ("PEXPIRE", self._context.keys.topic(tp.topic), expiry),
            ]
        return commands
