"""Take part in a consumer group: heartbeats, generations, and the leader's plan.

A generation goes through three states, seen from one member::

    joining ──▶ released ──▶ assigned
       ▲  the others joined, died or left   │
       └────────────────────────────────────┘

*joining*: a generation began, and the member gives up the partitions of the last one, or decides to keep them
until it has its part of the plan. *released*: it has, and waits until all members have. Then the leader (the
member with the smallest id) computes the plan with Faust's assignor, and each member is *assigned* its part.
A member that takes longer than the rebalance time-out is evicted; it joins again when it is done, and its
acks are refused until then (``ack.lua``).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from time import monotonic
from typing import Any, Final, cast

from aiokafka.coordinator.protocol import (  # type: ignore[import-untyped]
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from faust.assignor.partition_assignor import PartitionAssignor
from faust.types import TP, AppT
from mode import get_logger

from faust_redis.context import TransportContext
from faust_redis.membership.assignment import own_assignment
from faust_redis.redis.commands import REDIS_ERRORS, Outage, is_unavailable
from faust_redis.redis.key_connection import KeyConnection
from faust_redis.redis.scripts import (
    GROUP_HEARTBEAT,
    GROUP_JOIN,
    GROUP_LEAVE,
    GROUP_RELEASE,
    GROUP_SYNC,
    NOT_MEMBER,
)
from faust_redis.tasks import cancel_and_wait

#: Seconds that leaving the group may take, because Redis may be unavailable.
LEAVE_TIMEOUT: Final = 2.0

__all__ = ["GroupMember", "MemberState", "beat_interval"]

logger = get_logger(__name__)

#: Seconds between attempts while Redis is unavailable.
RETRY_DELAY: Final = 0.5
#: Seconds between heartbeats during a rebalance, because only heartbeats check the rebalance time-out. The
#: signal stream announces all other steps.
REBALANCE_BEAT: Final = 0.5
#: Time between heartbeats as a share of the session time-out: in a small group, and at most. A handler may
#: block the loop for the rest before its worker counts as dead.
SHORTEST_SILENCE: Final = 0.05
LONGEST_SILENCE: Final = 0.2
#: Most seconds by which a worker without events extends that time: watchers call a longer one silent.
IDLE_SILENCE: Final = 2.0
#: Seconds that events wait at most for the heartbeat before them.
STIR_TIMEOUT: Final = 0.1
#: Seconds after the end of a silent member's session at which the others look whether it is dead.
AFTER_SESSION: Final = 0.01
#: Milliseconds that a read of the signal stream waits: it takes nothing, so that only the silence after which
#: a connection counts as dead limits it.
SIGNAL_BLOCK_MS: Final = 5_000
#: Heartbeats of a group per second, above which its members send fewer. A beat takes 20 to 29 µs of Redis
#: with any number of members, so that all of them take less than 4 % of a core.
BEATS_PER_SECOND: Final = 1_200


class MemberState(enum.Enum):
    """The state of a member within its generation."""

    OUT = "out"
    JOINING = "joining"
    RELEASED = "released"
    ASSIGNED = "assigned"


class GroupMember:
    """Maintain one worker's membership.

    Args:
        keep: called as a generation begins, with whether all members are cooperative; returns whether this
            member reads on until it has its part of the plan.
        on_revoked: called to give up partitions; the member reports the release when it returns.
        on_assigned: called with the assigned partitions and their generation.
        on_reset: called after Redis has lost the group, before the member joins again.
        has_events: returns whether the worker has events, whose handlers may block the loop.
    """

    def __init__(
        self,
        app: AppT,
        member_id: str,
        context: TransportContext,
        *,
        keep: Callable[..., bool],
        on_revoked: Callable[[], Awaitable[None]],
        on_assigned: Callable[[set[TP], int], Awaitable[None]],
        on_reset: Callable[[], Awaitable[None]],
        has_events: Callable[[], bool],
    ) -> None:
        self.app = app
        self._assignor = cast(PartitionAssignor, app.assignor)
        self.member_id = member_id
        self.state = MemberState.OUT
        self.generation = 0
        self.subscription: frozenset[str] = frozenset()
        self.session_timeout: float = app.conf.broker_session_timeout
        self.members = 0
        self.rebalance_timeout: float = app.conf.broker_rebalance_timeout
        self._keys = context.keys.group(app.conf.id)
        self._redis = context.redis
        self._scripts = context.scripts
        self._topics = context.topics
        # Of their own, because a beat must not wait behind messages, and costs more by the pool.
        self._beats = KeyConnection(context.server, self._keys.signal)
        self._signals = KeyConnection(context.server, self._keys.signal)
        self._keep = keep
        self._is_keeping = False
        self._is_rejoining = False
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned
        self._on_reset = on_reset
        self._has_events = has_events
        self._transition: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()
        self._stirred_at = 0.0
        self._last_beat = 0.0
        self._outage = Outage(f"group {app.conf.id}")

    def subscribe(self, topics: Iterable[str]) -> bool:
        """Set the topics of this member; return whether they changed, which makes it join again."""
        subscription = frozenset(topics)
        if subscription == self.subscription:
            return False
        self.subscription = subscription
        self._wake.set()
        return True

    def rejoin(self) -> None:
        """Begin another generation, as for a table that has to be rebuilt."""
        self._is_rejoining = True
        self._wake.set()

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between heartbeats."""
        configured = float(self.app.conf.broker_heartbeat_interval)
        usual = beat_interval(self.members, self.session_timeout, configured)
        longest = min(configured, self.session_timeout * LONGEST_SILENCE, IDLE_SILENCE)
        is_idle = not self._has_events() and monotonic() - self._stirred_at > longest
        return max(usual, longest) if is_idle else usual

    async def stir(self) -> None:
        """Send a heartbeat before events, whose handlers may block the loop, and await it for a moment."""
        self._stirred_at = monotonic()
        if self.beat_age <= self.session_timeout * SHORTEST_SILENCE or self.state is not MemberState.ASSIGNED:
            return
        self._answered.clear()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STIR_TIMEOUT):
                await self._answered.wait()

    @property
    def beat_age(self) -> float:
        """Seconds since Redis last answered a heartbeat."""
        return monotonic() - self._last_beat

    @property
    def may_read(self) -> bool:
        """Whether the membership is certain for longer than a blocking read takes.

        A worker that was frozen or cut off from Redis sends a heartbeat before it reads again.
        """
        return self._has_partitions and self.beat_age < self.session_timeout / 2

    @property
    def _has_partitions(self) -> bool:
        return self.state is MemberState.ASSIGNED or self._is_keeping

    def unready(self) -> str | None:
        """Return the reason why this member's ownership is uncertain, ``None`` if it is certain."""
        if not self._has_partitions:
            return f"group membership: {self.state.value}"
        if self.beat_age > self.session_timeout:
            return f"no heartbeat answered for {self.beat_age:.0f} s"
        return None

    def start(self) -> None:
        """Start heartbeats, which continue through every outage of Redis until ``leave``."""
        self._tasks = [asyncio.create_task(self._take_part()), asyncio.create_task(self._read_signals())]

    async def _take_part(self) -> None:
        joined: frozenset[str] = frozenset()
        while not self.subscription:
            await self._wake.wait()
            self._wake.clear()
        while True:
            try:
                self._wake.clear()
                if self.state is MemberState.OUT or joined != self.subscription or self._is_rejoining:
                    subscription = self.subscription
                    await self._join()
                    joined, self._is_rejoining = subscription, False
                pause = await self._beat()
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
            except REDIS_ERRORS as error:
                self._outage.log(error)
                await asyncio.sleep(RETRY_DELAY)
            except Exception as error:
                logger.exception("group %s: heartbeat failed: %r", self.app.conf.id, error)
                await asyncio.sleep(RETRY_DELAY)

    async def leave(self) -> None:
        """Leave the group, so that others take over at once; never raises when Redis is unavailable."""
        await cancel_and_wait(self._tasks)
        await self._settle_transition()
        self.state = MemberState.OUT
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self._scripts.call(GROUP_LEAVE, self._keys, member_id=self.member_id)
        except Exception as error:
            if not is_unavailable(error):
                logger.exception("leaving group %s failed: %r", self.app.conf.id, error)
        await self._beats.close()
        await self._signals.close()

    async def _join(self) -> None:
        if self.state is MemberState.OUT:
            await self._topics.redeclare()
        for topic in sorted(self.subscription):
            await self._topics.facts(topic)
        metadata = self._assignor.metadata(set(self.subscription)).encode()
        generation = await self._scripts.call(
            GROUP_JOIN,
            self._keys,
            member_id=self.member_id,
            metadata=metadata,
            last_generation=self.generation,
        )
        logger.info("joined group %s as %s, generation %s", self.app.conf.id, self.member_id, generation)
        if self.state is MemberState.OUT:
            self.state = MemberState.JOINING

    async def _beat(self) -> float:
        """Send a heartbeat, take the next step, and return the seconds until the next heartbeat."""
        sent = monotonic()
        command = GROUP_HEARTBEAT.command(
            self._keys,
            member_id=self.member_id,
            session_timeout_ms=int(self.session_timeout * 1000),
            rebalance_timeout_ms=int(self.rebalance_timeout * 1000),
            wants_plan=int(self.state is MemberState.RELEASED),
        )
        answer = await GROUP_HEARTBEAT.run(self._beats.execute, command)
        if answer[0] == NOT_MEMBER:
            logger.warning("group %s no longer knows %s, joining again", self.app.conf.id, self.member_id)
            await self._settle_transition()
            self.state = MemberState.OUT
            self._is_keeping = False
            await self._on_reset()
            return 0
        generation, leader, released, plan, self.members, is_cooperative, left_ms = answer
        self._last_beat = sent
        self._answered.set()
        if released and not plan and leader.decode() == self.member_id:
            await self._plan(generation)
            return 0
        if self._transition is not None:
            if not self._transition.done():
                return REBALANCE_BEAT
            transition, self._transition = self._transition, None
            transition.result()
            return 0
        if generation != self.generation:
            self._is_keeping = self._keep(is_cooperative=bool(is_cooperative))
            self.state = MemberState.JOINING
            self._start_transition(self._release(generation))
            return REBALANCE_BEAT
        if self.state is MemberState.RELEASED:
            if plan:
                self._start_transition(self._take(plan, generation))
            elif not released:
                await self._report_release(generation)  # again, because Redis may have lost it
            return REBALANCE_BEAT
        # Counted from the sending, so that after a handler that blocked the loop the next one is due at once.
        pause: float = min(self.heartbeat_interval, left_ms / 1000 + AFTER_SESSION)
        return max(0.0, pause - (monotonic() - sent))

    async def _release(self, generation: int) -> None:
        await self._on_revoked()
        while True:
            try:
                await self._report_release(generation)
                break
            except REDIS_ERRORS as error:
                self._outage.log(error)
                await asyncio.sleep(RETRY_DELAY)
        self.generation = generation
        self.state = MemberState.RELEASED

    async def _report_release(self, generation: int) -> None:
        metadata = self._assignor.metadata(set(self.subscription)).encode()
        keys = [self._keys.members, self._keys.released, self._keys.state, self._keys.signal]
        await self._scripts.call(
            GROUP_RELEASE, keys, member_id=self.member_id, generation=generation, metadata=metadata
        )

    async def _take(self, plan: bytes, generation: int) -> None:
        partitions = {topic: (await self._topics.facts(topic)).partitions for topic in self.subscription}
        assignment = own_assignment(self._assignor, ConsumerProtocolMemberAssignment.decode(plan), partitions)
        self._assignor.on_assignment(assignment)
        assigned = {TP(tp.topic, tp.partition) for tp in assignment.partitions()}
        await self._on_assigned(assigned, generation)
        self.state = MemberState.ASSIGNED
        self._is_keeping = False

    async def _plan(self, generation: int) -> None:
        members = cast(dict[bytes, bytes], await self._redis.hgetall(self._keys.members))
        metadata = {
            member.decode(): ConsumerProtocolMemberMetadata.decode(encoded)
            for member, encoded in members.items()
        }
        cluster = _Cluster()
        for member in metadata.values():
            for topic in member.subscription:
                cluster.partitions[topic] = set(range((await self._topics.facts(topic)).partitions))
        plan: list[str | bytes] = []
        for member_id, assignment in self._assignor.assign(cluster, metadata).items():
            plan += (member_id, assignment.encode())
        keys = [self._keys.plan, self._keys.state, self._keys.signal]
        if await self._scripts.call(GROUP_SYNC, keys, *plan, generation=generation):
            logger.info("leading group %s: planned generation %s", self.app.conf.id, generation)

    async def _settle_transition(self) -> None:
        transition, self._transition = self._transition, None
        if transition is not None:
            await cancel_and_wait([transition])

    def _start_transition(self, step: Coroutine[Any, Any, None]) -> None:
        self._transition = asyncio.create_task(step)
        self._transition.add_done_callback(lambda _: self._wake.set())

    async def _read_signals(self) -> None:
        """Wake the heartbeat for each entry of the signal stream."""
        last: bytes | str = "$"
        while True:
            try:
                reply = await self._signals.execute(
                    "XREAD", "BLOCK", SIGNAL_BLOCK_MS, "STREAMS", self._keys.signal, last
                )
            except Exception as error:
                if isinstance(error, REDIS_ERRORS):
                    self._outage.log(error)
                else:
                    logger.exception("reading %s failed: %r", self._keys.signal, error)
                last = "$"
                await asyncio.sleep(RETRY_DELAY)
                continue
            if reply:
                last = reply[0][1][-1][0]
                self._wake.set()


def beat_interval(members: int, session_timeout: float, configured: float) -> float:
    """Return the seconds between the heartbeats of each member of a group of this size."""
    wanted = max(session_timeout * SHORTEST_SILENCE, members / BEATS_PER_SECOND)
    return min(configured, wanted, session_timeout * LONGEST_SILENCE)


class _Cluster:
    """The part of aiokafka's ``ClusterMetadata`` that Faust's assignor uses."""

    def __init__(self) -> None:
        self.partitions: dict[str, set[int]] = {}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Return the partition numbers of a topic."""
        return self.partitions.get(topic)
