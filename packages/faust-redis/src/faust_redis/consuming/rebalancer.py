"""Give partitions up and take them over, in the order of Faust's own driver, or while the others are read on.

A worker keeps its partitions in a rebalance, and gives up only those that another worker gets, if each event
depends on its own partition alone. With tables, exactly-once processing, batches or isolated partitions it
gives up all of them, because their state is built up for the whole assignment. All workers do the same while
one of them runs an earlier version, which takes a partition over without waiting for its owner.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Any, Protocol, cast

from faust.types import TP, AgentT, AppT, Message

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.commits import Committer
from faust_redis.consuming.handover import Handover
from faust_redis.consuming.offsets import Offsets, Persist
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.shares import Shares
from faust_redis.consuming.windows import Windows
from faust_redis.context import TransportContext
from faust_redis.faust_hooks.agents import allow_crashes_at_once, find_isolated_actors
from faust_redis.faust_hooks.apps import shift_partitions
from faust_redis.redis.commands import REDIS_ERRORS

__all__ = ["FaustConsumer", "Rebalancer", "WaitingAttempts", "WaitingSuspects"]


class FaustConsumer(Protocol):
    """The steps of a rebalance that are Faust's own."""

    async def commit(self) -> bool:
        """Commit all acks, or wait until a commit under way is over."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop the flow, wait for agents, and run the app's callbacks."""

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Recover tables, start the flow, and run the app's callbacks."""

    def set_active(self, assigned: set[TP]) -> None:
        """Read these partitions, except those that are paused."""


class WaitingAttempts(Protocol):
    """The failed events that wait for their next attempt."""

    def forget(self, tps: Collection[TP] | None = None) -> None:
        """Forget the waiting events of these partitions, or all: their next owners claim the entries."""

    def is_counting(self, tp: TP) -> bool:
        """Return whether a failure of an event of this partition is not counted yet."""


class WaitingSuspects(Protocol):
    """The events that may have killed workers."""

    def forget(self, tps: Collection[TP] | None = None) -> None:
        """Forget the waiting events of these partitions, or all: their next owners claim them."""


class Rebalancer:
    """Moves this worker from one assignment to the next.

    Attributes:
        assigned: The partitions that this member owns.
        is_leaving: Whether the worker stops, and hands its partitions over one by one.
    """

    def __init__(
        self,
        app: AppT,
        context: TransportContext,
        member_id: str,
        *,
        consumer: FaustConsumer,
        reader: PartitionReader,
        acks: AckLog,
        committer: Committer,
        offsets: Offsets,
        attempts: WaitingAttempts,
        suspects: WaitingSuspects,
        shares: Shares,
        persist: Persist,
        is_acked: Callable[[str], bool],
        watch_agents: Callable[[Iterable[AgentT[Any]]], None],
        rebalance_timeout: float,
        is_batching: Callable[[], bool],
        drop_uncommitted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take what the consumer consists of.

        Args:
            is_batching: Returns whether streams collect batches of events.
            rebalance_timeout: Seconds after which the group evicts a member that does not take part.
            drop_uncommitted: Drops everything uncommitted, where each event counts exactly once.
            is_acked: Returns whether the entries of a topic are acked one by one.
            watch_agents: Makes errors of these agents count as failed attempts.
        """
        self._app = app
        self._context = context
        self._member_id = member_id
        self._consumer = consumer
        self._reader = reader
        self._acks = acks
        self._committer = committer
        self._offsets = offsets
        self._attempts = attempts
        self._suspects = suspects
        self._shares = shares
        self._persist = persist
        self._is_acked = is_acked
        self._watch_agents = watch_agents
        self._drop_uncommitted = drop_uncommitted
        self._is_batching = is_batching
        self._windows = Windows(app)
        self.assigned: set[TP] = set()
        self.is_leaving = False
        self._is_group_cooperative = False
        self._is_keeping = False
        self._handover = self._new_handover(rebalance_timeout)

    def _new_handover(self, rebalance_timeout: float) -> Handover:
        return Handover(
            self._context,
            self._reader,
            self._acks,
            self._attempts,
            begun=self.begun,
            commit=self._consumer.commit,
            committing=lambda: self._committer.committing,
            persist=self._persist,
            longest=rebalance_timeout,
        )

    def keep(self, *, is_cooperative: bool) -> bool:
        """Decide how to take part in a rebalance; return whether partitions are read on meanwhile.

        Args:
            is_cooperative: Whether all members wait for a partition's owner to release it.
        """
        self._is_group_cooperative = is_cooperative
        is_running = self._app.flow_control.is_active() and not self._app.should_stop
        self._is_keeping = is_cooperative and (
            self.is_leaving or (is_running and bool(self.assigned) and self._is_divisible())
        )
        return self._is_keeping

    def _is_divisible(self) -> bool:
        """Return whether each event depends on its own partition alone."""
        app = self._app
        return (
            not app.tables
            and self._drop_uncommitted is None
            and not self._is_batching()
            and not any(cast(Any, agent).isolated_partitions for agent in app.agents.values())
        )

    def begin_leaving(self) -> bool:
        """Begin to hand over each partition as soon as its events are done, because the worker stops.

        Returns:
            Whether there is anything to wait for, and another assignment is to be asked for; once only.
        """
        if self.is_leaving or not (self._is_group_cooperative and self.begun() and self._is_divisible()):
            return False
        self.is_leaving = True
        return True

    async def let_go(self) -> None:
        """Release all leases.

        Raises:
            redis.exceptions.RedisError: Redis is away; the next owners then count a death.
        """
        await self._handover.stop()
        await self._handover.let_go(self._reader.queues)

    async def release(self) -> None:
        """Take part in a rebalance as :meth:`keep` has decided."""
        if not self._is_keeping:
            await self.revoke()

    async def revoke(self) -> None:
        """Give up every partition: stop the flow, let started events end, ack them."""
        self._is_keeping = False
        await self._handover.stop()
        revoked = set(self.assigned)
        if revoked:
            await self._consumer.commit()
        self._app.on_rebalance_start()
        # Faust forgets acks at this point; those that came during the commit above are kept for the next one.
        kept = self._acks.take(revoked)
        try:
            await self._consumer.on_partitions_revoked(revoked)
        finally:
            self._acks.restore(kept)
        await self._reader.settle()
        if revoked:
            await self._consumer.commit()
        if self._drop_uncommitted is not None:
            await self._drop_uncommitted()
        # Buffers are empty now: only events that an agent has begun, or has not yet acked, are in flight.
        begun: defaultdict[TP, set[int]] = defaultdict(set)
        for message in self.begun():
            begun[message.tp].add(message.offset)
        for tp, partition in self._reader.queues.items():
            unacked = begun[tp].union(self._acks.waiting(tp), self._committer.committing.get(tp, ()))
            partition.in_flight = {
                offset: message for offset, message in partition.in_flight.items() if offset in unacked
            }
        self._attempts.forget()
        self._shares.forget()
        self._suspects.forget()
        with contextlib.suppress(*REDIS_ERRORS):  # entries pending at that time would only look like suspects
            await self._handover.let_go(self._reader.queues)

    async def forfeit(self) -> None:
        """Give up every partition after the group has gone on without this member.

        Another worker may have owned a partition in the meantime and processed the events begun here. Acks
        of them are invalid even if the partition comes back: a table may have refused the changes that belong
        to them.
        """
        await self.revoke()
        self._reader.forfeit()
        self._acks.clear()

    async def assign(self, assigned: set[TP], generation: int) -> None:
        """Take over partitions under a generation."""
        if self._is_keeping:
            await self._shift(assigned, generation)
        else:
            await self._replace(assigned, generation)

    async def _shift(self, assigned: set[TP], generation: int) -> None:
        """Give up and take over what differs between two assignments."""
        queues = {tp for tp in assigned if self._is_acked(tp.topic)}
        logs = assigned - queues
        new_logs = logs - self._reader.logs.keys()
        async with self._handover.lock:
            self.assigned = set(assigned)
            leaving, new = self._reader.shift(queues, logs, generation)
            self._consumer.set_active(assigned)
            for parts in (self._attempts, self._suspects, self._shares):
                parts.forget(leaving)
            self._handover.give_up(leaving)
            self._handover.wait_for(new)
        if self.is_leaving:
            return
        await self._persist(partial(self._reader.make_groups, new))
        await self._begin_logs(new_logs)
        self._reader.interrupt(new_logs)
        self._watch_all()
        await shift_partitions(self._app, assigned)

    async def _replace(self, assigned: set[TP], generation: int) -> None:
        """Take over a whole assignment, after everything was given up."""
        self._app.consumer_generation_id = generation
        self._attempts.forget()
        self._suspects.forget()
        queues = {tp for tp in assigned if self._is_acked(tp.topic)}
        begin = assigned - queues - self._reader.logs.keys()
        self._reader.assign(queues, assigned - queues, generation)
        take: Callable[[], Awaitable[None]] = partial(
            self._context.changelogs.take, self._member_id, generation, queues
        )
        await self._persist(take)
        if self._is_group_cooperative:
            self._handover.wait_for(queues)
        await self._persist(partial(self._reader.make_groups, queues))
        await self._begin_logs(begin)
        self.assigned = set(assigned)
        await self._offsets.restart_shortened_logs()
        self._windows.watch(self._app.tables.values())
        self._watch_all()
        await self._consumer.on_partitions_assigned(set(assigned), generation)

    async def _begin_logs(self, tps: Iterable[TP]) -> None:
        if self._reader.start == "$":
            for tp in tps:
                if tp.topic != self._app.conf.reply_to:  # an answer may have come before its reader
                    self._reader.logs[tp] = await self._offsets.end_of(tp)

    def _watch_all(self) -> None:
        agents = list(self._app.agents.values())
        self._watch_agents(agents)
        for agent in agents:
            allow_crashes_at_once(agent)
            if cast(Any, agent).isolated_partitions:
                find_isolated_actors(agent)

    def assign_replies(self, topics: Iterable[str]) -> set[TP]:
        """Take the reply topics of a client, which enters no group; return their partitions."""
        self.assigned = {TP(topic, 0) for topic in topics}
        self._reader.assign((), self.assigned, self._app.consumer_generation_id)
        return set(self.assigned)

    def begun(self) -> list[Message]:
        """Return the messages that agents work on; those of reply topics are never done."""
        return [message for message in self._acks.unacked if message.topic != self._app.conf.reply_to]
