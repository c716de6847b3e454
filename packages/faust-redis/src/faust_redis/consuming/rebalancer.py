"""Give partitions up and take them over, in the order of Faust's own driver."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Protocol, cast

from faust.types import TP, AgentT, AppT, Message

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.commits import Committer
from faust_redis.consuming.offsets import Offsets, Persist
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.shares import Shares
from faust_redis.consuming.windows import Windows
from faust_redis.context import TransportContext
from faust_redis.faust_hooks.agents import allow_crashes_at_once, find_isolated_actors
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


class WaitingAttempts(Protocol):
    """The failed events that wait for their next attempt."""

    def forget(self) -> None:
        """Forget the waiting events: the owners of their partitions claim them."""


class WaitingSuspects(Protocol):
    """The events that may have killed workers."""

    def forget(self) -> None:
        """Forget the waiting events: the owners of their partitions claim them."""

    async def let_go(self) -> None:
        """Record that this worker gives its partitions up in order."""


class Rebalancer:
    """Moves this worker from one assignment to the next.

    Attributes:
        assigned: The partitions that this member owns.
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
        drop_uncommitted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take what the consumer consists of.

        Args:
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
        self._windows = Windows(app)
        self.assigned: set[TP] = set()

    async def revoke(self) -> None:
        """Give up every partition: stop the flow, let started events end, ack them."""
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
            await self._suspects.let_go()

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
        await self._persist(self._reader.make_groups)
        if self._reader.start == "$":
            for tp in begin:
                if tp.topic != self._app.conf.reply_to:  # an answer may have come before its reader
                    self._reader.logs[tp] = await self._offsets.end_of(tp)
        self.assigned = set(assigned)
        await self._offsets.restart_shortened_logs()
        self._windows.watch(self._app.tables.values())
        agents = list(self._app.agents.values())
        self._watch_agents(agents)
        for agent in agents:
            allow_crashes_at_once(agent)
            if cast(Any, agent).isolated_partitions:
                find_isolated_actors(agent)
        await self._consumer.on_partitions_assigned(set(assigned), generation)

    def assign_replies(self, topics: Iterable[str]) -> set[TP]:
        """Take the reply topics of a client, which enters no group; return their partitions."""
        self.assigned = {TP(topic, 0) for topic in topics}
        self._reader.assign((), self.assigned, self._app.consumer_generation_id)
        return set(self.assigned)

    def begun(self) -> list[Message]:
        """Return the messages that agents work on; those of reply topics are never done."""
        return [message for message in self._acks.unacked if message.topic != self._app.conf.reply_to]
