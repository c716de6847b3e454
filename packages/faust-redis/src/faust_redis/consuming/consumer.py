"""Consumer: Faust's consumer interface over owned partitions.

What differs from Faust on Kafka, and why:

- Entries are acked one by one (``XACK``), not by a committed offset. A slow event holds up nobody.
- An agent that raises does not ack its event (Faust alone would: it acks in a ``finally``). The event comes
  again, with a delay that grows, and at last is a dead letter (see ``attempts``).
- Acks carry the lease they were made under. An owner that lost its partition is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from faust.types import TP, ConsumerMessage, Message
from mode import Service, get_logger

from faust_redis.consuming.abandoned import AbandonedEvents
from faust_redis.consuming.acking import Acking
from faust_redis.consuming.attempts import AgentErrors, Attempts
from faust_redis.consuming.conductor import Conductor
from faust_redis.consuming.housekeeping import (
    expire_entries,
    expire_tombstones,
    partitions_with_stray_entries,
)
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.positions import RETRY_DELAY
from faust_redis.consuming.replies import ReplyConsumer
from faust_redis.errors import UnreadableEntryError
from faust_redis.fastpath.gc_tuning import freeze_startup_objects
from faust_redis.fastpath.round_robin import round_robin
from faust_redis.log.entries import REDELIVERY_HEADER, Headers, Record, offset_of
from faust_redis.log.keys import GroupKeys
from faust_redis.membership.member import GroupMember, MemberState
from faust_redis.redis.commands import REDIS_ERRORS, Outage
from faust_redis.redis.probe import probe

if TYPE_CHECKING:
    from faust_redis.driver import Transport

__all__ = ["Consumer"]

logger = get_logger(__name__)

#: Part of the rebalance time-out for which agents are waited for. With all of it the member would be put out
#: for being late, just before it has let go, and its coming back would be one more rebalance for everybody.
DRAIN_FRACTION: Final = 0.8
_T = TypeVar("_T")


class Consumer(Acking):
    """Reads owned partitions, hands records to Faust's conductor, acks what the agents finished."""

    logger = logger
    consumer_stopped_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = cast("Transport", self.transport).context
        self.member_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        conf = self.app.conf
        self.member = GroupMember(
            self.app,
            self.member_id,
            self._context,
            on_revoked=self._revoke,
            on_assigned=self._assign,
            on_reset=self._forfeit,
        )
        self.reader = PartitionReader(
            self._context,
            conf.id,
            self.member_id,
            start="$" if conf.consumer_auto_offset_reset == "latest" else "0",
            read_count=conf.broker_max_poll_records,
            # Reading pauses when four fifths of a stream's buffer are full; what is read at once fits into
            # the rest, so that no message has to wait for room.
            room=(conf.stream_buffer_maxsize or sys.maxsize) // 5,
        )
        self._assignment: set[TP] = set()
        self._attempts = Attempts(self, self._context, self.reader, conf.id)
        self.reader.on_unreadable = self._bury_unreadable
        self._agent_errors = AgentErrors(self.fail, lambda: self.should_stop or self.app.should_stop)
        self.app.sensors.add(AbandonedEvents(self))
        self._last_turn = monotonic()
        self._probed = False
        self._reading = Outage("reading")
        self._housekeeping = Outage("housekeeping")
        self._replies = conf.reply_to
        replies = ReplyConsumer(self.app, loop=self.app.loop, beacon=self.app.beacon)
        self.app._reply_consumer = replies  # type: ignore[attr-defined]

    # -- membership ---------------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Set the topics to read; the group shares out their partitions anew.

        Raises:
            UnsupportedServerError: Redis can't do what is needed.
            TopicMismatchError: A topic is recorded with another number of partitions.
        """
        if not self._probed:
            await self.persist(partial(probe, self._context.server, GroupKeys.of(self.app.conf.id).state))
            self._probed = True
        for topic in topics:
            await self.persist(partial(self._context.topics.declare_to_read, topic))
        if self.app.client_only:
            # It only waits for answers: entering the group would take work from those who do it.
            self._assignment = {TP(topic, 0) for topic in topics}
            self._set_active_tps(self._assignment)
            self.reader.assign((), self._assignment, self.app.consumer_generation_id)
            await self.app.topics.on_client_only_start()
        else:
            self.member.subscribe(topics)

    async def on_start(self) -> None:
        """Enter the group as soon as there is something to subscribe to."""
        freeze_startup_objects()
        await super().on_start()
        if not self.app.client_only:
            self.member.start()

    async def _revoke(self) -> None:
        """Give up every partition: stop the flow, let started events end, ack them."""
        revoked = self._assignment
        if revoked:
            await self.commit()
        self.app.on_rebalance_start()
        # Faust forgets acks at this point; those that came during the commit above are kept for the next one.
        kept = {tp: self._take_acked(tp) for tp in revoked}
        try:
            await self.on_partitions_revoked(set(revoked))
        finally:
            for tp, offsets in kept.items():
                self._acked[tp].extend(offsets)
        await self.reader.settle()
        if revoked:
            await self.commit()
        # Buffers are empty now: in flight is only what an agent has begun, or finished and not yet acked.
        begun: dict[TP, set[int]] = defaultdict(set)
        for message in self._begun():
            begun[message.tp].add(message.offset)
        for tp, partition in self.reader.queues.items():
            unacked = begun[tp].union(self._acked[tp], self._committing.get(tp, ()))
            partition.in_flight = {
                offset: message for offset, message in partition.in_flight.items() if offset in unacked
            }
        self._attempts.forget()

    async def _forfeit(self) -> None:
        """Give up every partition after the group has gone on without this member.

        Whoever has owned a partition meanwhile had the right to what was begun here. Even if it comes back
        to this member, the acks of that are not wanted: a table may have refused what went with them.
        """
        await self._revoke()
        self.reader.forfeit()
        self._acked.clear()
        self._acked_index.clear()

    async def _assign(self, assigned: set[TP], generation: int) -> None:
        """Take over partitions, in the order of Faust's own driver."""
        self.app.consumer_generation_id = generation
        self._assignment = set(assigned)
        self._attempts.forget()
        queues = {tp for tp in assigned if self._is_acked(tp.topic)}
        begin = assigned - queues - self.reader.logs.keys()
        self.reader.assign(queues, assigned - queues, generation)
        await self.persist(partial(self._context.changelogs.take, self.member_id, generation, queues))
        if self.reader.start == "$":
            for tp in begin:
                if tp.topic != self._replies:  # an answer may have come before its reader
                    self.reader.logs[tp] = await self._end_of(tp)
        await self._notice_new_beginnings()
        self._agent_errors.watch(self.app.agents.values())
        await self.on_partitions_assigned(set(assigned), generation)

    async def _notice_new_beginnings(self) -> None:
        """Read logs from their beginning that are shorter than what was read of them."""
        for tp in list(self.reader.logs):
            read = self.reader.logs.get(tp, 0)  # before the end is asked for, as reading goes on meanwhile
            end = await self._end_of(tp)
            if read > end:
                facts = self._context.topics.known(tp.topic)
                if end > 1 or facts is None or not facts.retention:  # else it has expired
                    logger.error("%s-%s begins anew in Redis, what it held is lost", *tp)
                self.reader.logs[tp] = 0

    def assignment(self) -> set[TP]:
        """Return the partitions this member owns."""
        return set(self._assignment)

    def unready(self) -> str | None:
        """Say why this worker does not do its work just now; ``None`` if it does."""
        if self.member.state is not MemberState.ASSIGNED:
            return f"group membership: {self.member.state.value}"
        if self.member.beat_age > self.member.session_timeout:
            return f"no heartbeat answered for {self.member.beat_age:.0f} s"
        turned = monotonic() - self._last_turn
        if turned > self.member.session_timeout:
            return f"the read loop has not turned for {turned:.0f} s"
        return None

    async def on_stop(self) -> None:
        """Let started events end, ack them, and hand the partitions over at once."""
        self.stop_flow()
        await self.reader.settle()
        await super().on_stop()
        await self.member.leave()
        await self._attempts.settle()
        await self.reader.close()

    def close(self) -> None:
        """Nothing to do: :meth:`on_stop` gives up all connections."""

    # -- reading ------------------------------------------------------------------------------------------

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Record]]:
        if not (self.app.client_only or self.member.may_read):
            await asyncio.sleep(min(timeout, 0.05))
            return {}
        self._last_turn = monotonic()
        active = set(self._assignment if active_partitions is None else active_partitions & self._assignment)
        due = self._attempts.due()
        if due:
            return due
        try:
            return await self.reader.read(active, self._attempts.pause(timeout))
        except REDIS_ERRORS as error:
            self._reading.tell(error)
            await asyncio.sleep(RETRY_DELAY)
            return {}

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await self._drain(fetcher)
        except asyncio.CancelledError:
            # In a rebalance Faust's fetcher takes being cancelled for a crash, and does not ask whether the
            # worker is only being stopped: that would end with an error.
            if not fetcher.should_stop:
                raise

    async def _drain(self, fetcher: Any) -> None:
        while not (self.should_stop or fetcher.should_stop):
            records, _ = await self._wait_next_records(timeout=1.0)
            if records:
                await self._deliver(records)
            if self._commit_every is not None and self._n_acked >= self._commit_every:
                self._n_acked = 0
                await self.commit()
            # A full buffer or a busy stream must not starve heartbeats.
            await asyncio.sleep(0)

    async def _deliver(self, records: Mapping[TP, list[Record]]) -> None:
        """Hand records to the streams, taking turns between topics and partitions.

        What can't be handed on (its partition was paused, the flow stopped) stays pending and is claimed
        again.
        """
        conductor = cast(Conductor, self.app.topics)
        generation = self.app.consumer_generation_id
        for tp in records:
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        order = round_robin(self.scheduler, records)
        done = 0
        left: list[tuple[TP, Record]] = []
        held: set[TP] = set()
        try:
            for tp, record in order:
                done += 1
                # One record left behind holds back those after it, or they would overtake it.
                if tp in held or not self._may_deliver(tp, generation):
                    left.append((tp, record))
                    held.add(tp)
                    continue
                message = self._to_message(tp, record)
                queue = self.reader.queues.get(tp)
                if queue is not None:
                    queue.in_flight[record.offset] = message
                if not conductor.deliver(message):
                    await self.callback(message)
                if queue is None:
                    self._read_offset[tp] = record.offset
        finally:
            for tp, record in (*left, *order[done:]):
                self.reader.put_back(tp, record)

    def _may_deliver(self, tp: TP, generation: int) -> bool:
        return (
            self.flow_active
            and self.app.consumer_generation_id == generation
            and tp not in self._paused_partitions
            and tp in self._assignment
        )

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        headers: Headers = record.headers
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
            generation_id=self.app.consumer_generation_id,
        )

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read these partitions again."""
        super().resume_partitions(tps)
        self.reader.interrupt(self._active_partitions)

    def on_buffer_drop(self, tp: TP) -> None:
        """Read a partition again whose buffer was full."""
        super().on_buffer_drop(tp)
        self.reader.interrupt(self._active_partitions)

    async def wait_empty(self) -> None:
        """Wait until the events that agents have begun are done, for most of the rebalance time-out.

        What is not done by then stays pending and is worked on again.
        """
        deadline = monotonic() + self.member.rebalance_timeout * DRAIN_FRACTION
        while not self.should_stop and (begun := self._begun()):
            if monotonic() > deadline:
                self.log.warning("%d events take too long, they will be worked on again", len(begun))
                break
            await self.commit()
            await self._wait_for_ack(timeout=1)
            self._clean_unacked_messages()
            gc.collect()  # an agent that ended acks its event when its stream is collected
        await self.commit()

    def _is_acked(self, topic: str) -> bool:
        """Tell whether the entries of a topic are acked one by one.

        Those of reply topics are not, though Faust asks for it: it also puts each reply into the queue of a
        second channel that nobody reads, so that its message is never done.
        """
        return topic != self._replies and self.app.topics.acks_enabled_for(topic)

    def _begun(self) -> list[Message]:
        return [message for message in self._unacked_messages if message.topic != self._replies]

    # -- failing ------------------------------------------------------------------------------------------

    def fail(self, message: Message, error: BaseException) -> None:
        """Take a message as failed: it comes again after a while, or ends as a dead letter."""
        self._give_up(message, error, allowed=self._context.options.attempts)

    def reject(self, message: Message, error: BaseException) -> None:
        """Take a message as failed for good: it is a dead letter at once."""
        self._give_up(message, error, allowed=1)

    def _give_up(self, message: Message, error: BaseException, *, allowed: int) -> None:
        if message.acked or not self._is_acked(message.topic):
            return
        message.acked = True
        self._unacked_messages.discard(message)
        self._forget_refusals(message)
        self._attempts.fail(message, error, allowed)

    def _bury_unreadable(self, tp: TP, error: UnreadableEntryError) -> None:
        """Make a dead letter of an entry that no agent can be given."""
        offset = offset_of(error.entry_id.encode())
        message = self._to_message(tp, Record(offset, None, None, [], 0))
        queue = self.reader.queues.get(tp)
        if queue is not None:  # else it was given out to another member, which finds the entry pending
            queue.in_flight[offset] = message
            self.reject(message, error)

    def dead(self, tp: TP, offset: int) -> None:
        """Ack a dead letter with the next batch once more: that is what trims."""
        self._acked[tp].append(offset)

    def again(self) -> None:
        """End the blocking reads, as something is due before they would be."""
        self.reader.interrupt(self._assignment)

    @Service.task
    async def _sweep_strays(self) -> None:
        """Find entries that a worker read after it had lost the partition, and claim them."""
        async for _ in self.itertimer(self.member.session_timeout / 2, name="strays"):
            if not self.member.may_read:
                continue
            with contextlib.suppress(*REDIS_ERRORS):  # reading says so, and this is looked at again soon
                for tp in await partitions_with_stray_entries(
                    self._context, self.reader.queues, self.app.conf.id, self.member_id
                ):
                    self.reader.rewind(tp)

    @Service.task
    async def _keep_house(self) -> None:
        async for _ in self.itertimer(self._context.options.housekeeping_interval, name="housekeeping"):
            try:
                await self._context.topics.refresh()
                await self._notice_new_beginnings()
                await expire_entries(self._context, self.assignment())
                await expire_tombstones(self._context, self.assignment())
            except REDIS_ERRORS as error:
                self._housekeeping.tell(error)
