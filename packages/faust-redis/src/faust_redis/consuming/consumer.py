"""Consumer: Faust's consumer interface over owned partitions.

Differences from Faust on Kafka, with their reasons:

- Entries are acked one by one (``XACK``), not by a committed offset. A slow event holds up no other.
- An agent that raises does not ack its event (with Faust alone it would, because Faust acks in a
  ``finally``). The event is delivered again, after a growing delay, and finally becomes a dead letter (see
  ``attempts``).
- Acks carry the lease they were made under. An owner that lost its partition is refused.

Faust calls the consumer, and its parts do the work: :class:`PartitionReader` reads, :class:`NextRecords`
chooses, :class:`Deliverer` delivers, :class:`AckLog` and :class:`Committer` ack, :class:`Failures` and
:class:`Attempts` retry, :class:`Offsets` answers, :class:`GroupMember` and :class:`Rebalancer` share the
partitions, :class:`Drain` waits for agents, and :class:`Housekeeper` cleans up.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Final, TypeVar

from faust.agents import current_agent
from faust.exceptions import DecodeError
from faust.types import TP, AgentT, ConsumerMessage, Message
from mode import Service, get_logger

from faust_redis.consuming.abandoned import AbandonedEvents
from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.attempts import AgentErrors, Attempts
from faust_redis.consuming.channels import Channels
from faust_redis.consuming.committing import CommittingConsumer
from faust_redis.consuming.crash_marker import CrashMarker, folder_of
from faust_redis.consuming.delivery import Deliverer, message_of
from faust_redis.consuming.draining import Drain
from faust_redis.consuming.failures import Failures
from faust_redis.consuming.holds import Holds
from faust_redis.consuming.housekeeping import Housekeeper
from faust_redis.consuming.next_records import NextRecords
from faust_redis.consuming.offsets import Offsets
from faust_redis.consuming.outputs import Outputs
from faust_redis.consuming.readers import reader_of
from faust_redis.consuming.rebalancer import Rebalancer
from faust_redis.consuming.shares import Shares
from faust_redis.consuming.subscribing import TopicPreparation
from faust_redis.consuming.suspects import Suspects
from faust_redis.consuming.undeliverable import Undeliverable
from faust_redis.context import context_of
from faust_redis.faust_hooks.sensors import add_internal
from faust_redis.gc_tuning import freeze_startup_objects
from faust_redis.hooks import call_before_dead_letter
from faust_redis.log.entries import Record
from faust_redis.membership.expulsion import member_prefix
from faust_redis.membership.member import GroupMember
from faust_redis.redis.commands import REDIS_ERRORS, retry_while_unavailable

__all__ = ["Consumer"]

logger = get_logger(__name__)
_T = TypeVar("_T")

#: Seconds between checks whether a suspended member may read again.
IDLE_DELAY: Final = 0.05


class Consumer(CommittingConsumer):
    """Reads owned partitions, passes records to Faust's conductor, acks finished events.

    Attributes:
        member_id: Name of this worker in its consumer group, ``<host name>-<process id>-<12 hex digits>``.
        batching: The streams that collect batches of events for their agents.
        crash_marker: The file that names the event whose code runs.
    """

    logger = logger
    consumer_stopped_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app, conf, context = self.app, self.app.conf, context_of(self.transport)
        self._context = context
        self.member_id = f"{member_prefix()}{uuid.uuid4().hex[:12]}"
        self.reader = reader_of(context, conf, self.member_id)
        self.crash_marker = CrashMarker(folder_of(conf.datadir), self.member_id)
        undeliverable = Undeliverable(app, self.reader, self.reject)
        self.reader.on_unreadable = undeliverable.bury_unreadable
        self._suspects = Suspects(context, self.reader, undeliverable.bury)
        self.reader.sift = self._suspects.sift
        self._outputs = Outputs(app)
        self._attempts = Attempts(self, context, self.reader, conf.id, partial(call_before_dead_letter, app))
        self.acks = AckLog(app, self.reader, self)
        self._channels = Channels(app)
        self.failures = Failures(
            self.acks,
            self._attempts,
            self._outputs,
            shares=Shares(self.reader, self._channels.of, is_atomic=context.transactions is not None),
            is_acked=self._is_acked,
            is_stopping=self._is_stopping,
        )
        self.connect_commits(context, self._attempts, self._outputs, self.persist)
        self.reader.on_undelivered = self._committer.drop_after
        self.offsets = Offsets(context, self.reader, self.persist)
        self._rebalancer = self._new_rebalancer()
        self.member = GroupMember(
            app,
            self.member_id,
            context,
            keep=self._rebalancer.keep,
            on_revoked=self._rebalancer.release,
            on_assigned=self._rebalancer.assign,
            on_reset=self._rebalancer.forfeit,
            has_events=lambda: bool(self.unacked),
        )
        context.changelogs.on_loss = self.member.rejoin
        self._deliverer = Deliverer(app, self.reader, self, callback=self.callback, scheduler=self.scheduler)
        self._housekeeper = Housekeeper(context, self.reader, self.offsets, self.assignment)
        self._next_records = NextRecords(self._attempts, self._suspects, self.reader)
        self._holds = Holds(context, conf.id, on_change=self.reader.wake)
        self._drain_events = Drain(
            self.acks,
            begun=self._rebalancer.begun,
            commit=self.commit,
            forget_acked=self._clean_unacked_messages,
            is_stopping=lambda: self.should_stop,
        )
        self._last_turn = monotonic()
        self._preparation = TopicPreparation(context, conf.id, self.persist)
        self.batching = self._drain_events.batching
        add_internal(app, AbandonedEvents(self.failures))

    def _new_rebalancer(self) -> Rebalancer:
        return Rebalancer(
            self.app,
            self._context,
            self.member_id,
            consumer=self,
            reader=self.reader,
            acks=self.acks,
            committer=self._committer,
            offsets=self.offsets,
            attempts=self._attempts,
            suspects=self._suspects,
            shares=self.failures.shares,
            persist=self.persist,
            is_acked=self._is_acked,
            rebalance_timeout=self.app.conf.broker_rebalance_timeout,
            is_batching=lambda: bool(self.batching),
            watch_agents=AgentErrors(self.fail, self._is_stopping, self.undone).watch,
            drop_uncommitted=self._exactly_once.drop_all if self._exactly_once is not None else None,
        )

    # -- starting and stopping ----------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Set the topics to read, which starts a rebalance.

        Raises:
            UnsupportedServerError: Redis lacks what the transport needs.
            TopicMismatchError: A topic is recorded with another number of partitions.
        """
        if self._exactly_once is not None:
            self._exactly_once.check_tables()
        await self._preparation.prepare(topics)
        if self.app.client_only:
            # A client only waits for answers; as a member of the group it would be assigned partitions.
            self._set_active_tps(self._rebalancer.assign_replies(topics))
            await self.app.topics.on_client_only_start()
        else:
            self.member.subscribe(topics)

    async def on_start(self) -> None:
        """Enter the group as soon as there is something to subscribe to."""
        if self._context.options.freeze_gc:
            freeze_startup_objects()
        await super().on_start()
        self.add_future(self._holds.follow())
        self.add_future(self._housekeeper.keep_claiming_strays(self.member))
        if not self.app.client_only:
            self.member.start()

    async def on_stop(self) -> None:
        """Let started events end, ack them, and hand the partitions over at once."""
        self.stop_flow()
        await self.reader.settle()
        await super().on_stop()
        with contextlib.suppress(*REDIS_ERRORS):
            await self._trimmer.trim_left()
        with contextlib.suppress(*REDIS_ERRORS):
            await self._rebalancer.let_go()
        await self.member.leave()
        await self._attempts.settle()
        await self.reader.close()
        self.crash_marker.remove()

    def close(self) -> None:
        """Do nothing: :meth:`on_stop` closes all connections."""

    def unready(self) -> str | None:
        """Return why this worker does no work at the moment, ``None`` if it works."""
        turned = monotonic() - self._last_turn
        stuck = f"the read loop has not turned for {turned:.0f} s"
        return self.member.unready() or (stuck if turned > self.member.session_timeout else None)

    def _is_stopping(self) -> bool:
        return self.should_stop or self.app.should_stop

    async def persist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat a call that may safely run twice, until Redis answers.

        Raises:
            redis.exceptions.RedisError: Redis is away while the consumer stops, or the call itself failed.
        """
        return await retry_while_unavailable(
            call, doing="the consumer waits", is_stopping=lambda: self.should_stop
        )

    # -- reading and delivering ---------------------------------------------------------------------------

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Record]]:
        if not (self.app.client_only or self.member.may_read):
            await asyncio.sleep(min(timeout, IDLE_DELAY))
            return {}
        self._last_turn = monotonic()
        owned = self._rebalancer.assigned
        active = self._holds.unheld(set(owned if active_partitions is None else active_partitions & owned))
        return await self._next_records.read(active, timeout)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await self._drain(fetcher)
        except asyncio.CancelledError:
            # In a rebalance Faust's fetcher takes being cancelled for a crash, and does not check whether
            # the worker is only being stopped: that would end with an error.
            if not fetcher.should_stop:
                raise

    async def _drain(self, fetcher: Any) -> None:
        while not (self.should_stop or fetcher.should_stop):
            records, _ = await self._wait_next_records(timeout=1.0)
            if records:
                await self._deliverer.deliver(records)
            if self._commit_every is not None and self.acks.count >= self._commit_every:
                self.acks.count = 0
                await self.commit()
            # A full buffer or a busy stream must not starve heartbeats.
            await asyncio.sleep(0)

    async def before_events(self) -> None:
        """Announce events to the group, as their handlers may block the loop."""
        await self.member.stir()

    def may_deliver(self, tp: TP, generation: int) -> bool:
        """Return whether a partition is owned under this generation, and its flow is on."""
        return (
            self.flow_active
            and self.app.consumer_generation_id == generation
            and tp not in self._paused_partitions
            and tp in self._rebalancer.assigned
        )

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        return message_of(tp, record, self.app.consumer_generation_id)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def assignment(self) -> set[TP]:
        """Return the partitions this member owns."""
        return set(self._rebalancer.assigned)

    def set_active(self, assigned: set[TP]) -> None:
        """Read these partitions, except those that are paused."""
        self._paused_partitions.intersection_update(assigned)
        self._set_active_tps(assigned)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read these partitions again."""
        super().resume_partitions(tps)
        self.reader.interrupt(self._active_partitions)

    def on_buffer_drop(self, tp: TP) -> None:
        """Read a partition again whose buffer was full."""
        super().on_buffer_drop(tp)
        self.reader.interrupt(self._active_partitions)

    # -- acks and failures --------------------------------------------------------------------------------

    def ack(self, message: Message) -> bool:
        """Mark a message as done; return whether it was not before.

        A message that can't be decoded becomes a dead letter, because Faust acks it from the handler of that
        error.
        """
        error = sys.exc_info()[1]
        if isinstance(error, DecodeError):
            self.reject(message, error)
            return False
        return self.acks.ack(message)

    def fail(self, message: Message, error: BaseException, agent: AgentT[Any] | None = None) -> None:
        """Count a failed attempt: the message is delivered again later, or becomes a dead letter.

        Args:
            agent: The one that failed, if not the one that runs.
        """
        self.failures.fail(message, error, self._channels.of_agent(message, agent or current_agent()))

    def reject(self, message: Message, error: BaseException) -> None:
        """Make a message a dead letter, at once unless another agent still works on it."""
        self.failures.reject(message, error, self._channels.of_agent(message, current_agent()))

    async def wait_empty(self) -> None:
        """Wait until the events that agents have begun are done, for most of the rebalance time-out.

        Events that are not done by then stay pending and are delivered again. While the app stops, each
        partition goes to another worker as soon as its own events are done.
        """
        if self.app.should_stop and self._rebalancer.begin_leaving():
            self.member.subscribe(())
        await self._drain_events.wait(self.member.rebalance_timeout)

    def _is_acked(self, topic: str) -> bool:
        # Entries of reply topics are not acked, though Faust asks for it: Faust also puts each reply into the
        # queue of a second channel that is never read, so that its message is never done.
        return topic != self.app.conf.reply_to and self.app.topics.acks_enabled_for(topic)

    async def confirm(self) -> None:
        """Wait until everything sent so far is confirmed.

        Raises:
            TimeoutError: The app is stopping, and Redis was away for too long.
        """
        await self._outputs.confirm()

    def dead(self, tp: TP, offset: int) -> None:
        """Ack a dead letter once more with the next commit, which trims the partition."""
        self.acks.add(tp, offset)
        if self._exactly_once is not None:
            self._exactly_once.note_dead(tp, offset)

    def again(self) -> None:
        """End the blocking reads, because a record is due before they would end."""
        self.reader.interrupt(self._rebalancer.assigned)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to the entries that are not acked: every owned partition is claimed again."""
        self.offsets.rewind_all()
        return {}

    async def _seek(self, partition: TP, offset: int) -> None:
        await self.commit()  # a later ack would be taken for that of the next delivery
        await self.offsets.seek(partition, offset)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek logs (changelogs, reply topics) to offsets; queues keep what is pending."""
        for tp, offset in partitions.items():
            self.offsets.seek_log(tp, offset)

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is read next."""
        return self.offsets.position(tp)

    def highwater(self, tp: TP) -> int:
        """Return the end of a partition, as far as it has been read."""
        return self.offsets.highwater(tp)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offset that each partition still holds."""
        return await self.offsets.earliest(partitions)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the end of each partition: its last offset plus one."""
        return await self.offsets.ends(partitions)

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Record a topic in Redis, see :meth:`Producer.create_topic`."""
        await self.app.producer.create_topic(topic, partitions, replication, **options)

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic, ``None`` if it is not known yet."""
        return self.offsets.partitions_of(topic)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition of a key, or the one given; ``None`` if the topic is not known yet."""
        if partition is not None and self.offsets.partitions_of(topic) is not None:
            return partition
        return self.offsets.partition_of(topic, key)

    @Service.task
    async def _keep_house(self) -> None:
        async for _ in self.itertimer(self._context.options.housekeeping_interval, name="housekeeping"):
            await self._housekeeper.clean_up()
