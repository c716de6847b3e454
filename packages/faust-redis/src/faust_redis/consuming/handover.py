"""Hand partitions from one worker to another while both read on.

A partition that leaves is not read any more, and released as soon as its begun events are done; those of
other partitions do not hold it up. Its next owner waits for the release, which deletes the lease. It does not
wait for an owner that is gone from the group, and for no owner longer than the rebalance time-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from faust.types import TP, Message
from mode import get_logger

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.draining import DRAIN_FRACTION
from faust_redis.consuming.offsets import Persist
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.redis.commands import REDIS_ERRORS, is_unavailable
from faust_redis.redis.scripts import RELEASE
from faust_redis.tasks import cancel_and_wait

__all__ = ["Counting", "Handover"]

logger = get_logger(__name__)

#: Generation of messages that no stream begins, because their partition leaves.
STALE: Final = -1
#: Seconds between looks at the leases that other members hold: the first, and the longest.
FIRST_LOOK: Final = 0.01
LONGEST_LOOK: Final = 0.2
#: Seconds between checks of events that end without an ack, such as those of an agent that was cancelled.
DRAIN_CHECK: Final = 0.1
#: Seconds until a failed release is tried again.
RETRY_DELAY: Final = 1.0


class Counting(Protocol):
    """The failed events of a worker."""

    def is_counting(self, tp: TP) -> bool:
        """Return whether a failure of an event of this partition is not counted yet."""


class Handover:
    """The partitions of a worker that leave, and those that it waits for."""

    def __init__(
        self,
        context: TransportContext,
        reader: PartitionReader,
        acks: AckLog,
        attempts: Counting,
        *,
        begun: Callable[[], Iterable[Message]],
        commit: Callable[[], Awaitable[object]],
        committing: Callable[[], Mapping[TP, Collection[int]]],
        persist: Persist,
        longest: float,
    ) -> None:
        """Take what the consumer consists of.

        Args:
            begun: Returns the messages that agents work on.
            commit: Commits all acks.
            committing: Returns the acks on their way to Redis.
            longest: The rebalance time-out in seconds.
        """
        self._context = context
        self._reader = reader
        self._acks = acks
        self._attempts = attempts
        self._begun = begun
        self._commit = commit
        self._committing = committing
        self._persist = persist
        self._longest = longest
        self._leaving: dict[TP, float] = {}
        self._awaited: dict[TP, float] = {}
        self._draining: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        #: Held while leases are released, so that no partition comes back in the midst of that.
        self.lock = asyncio.Lock()
        reader.on_held = lambda tp: self.wait_for([tp])

    # -- partitions that leave ----------------------------------------------------------------------------

    def give_up(self, tps: Iterable[TP]) -> None:
        """Release partitions as soon as their begun events are done.

        Args:
            tps: All partitions that leave. One that was given up before and is not among them has come back.
        """
        deadline = monotonic() + self._longest * DRAIN_FRACTION
        self._leaving = {tp: self._leaving.get(tp, deadline) for tp in tps}
        begun = set(map(id, self._begun()))
        for tp in self._leaving:
            partition = self._reader.queues[tp]
            unacked = {*self._acks.waiting(tp), *self._committing().get(tp, ())}
            for message in partition.in_flight.values():
                if id(message) not in begun:
                    message.generation_id = STALE
            partition.in_flight = {
                offset: message
                for offset, message in partition.in_flight.items()
                if id(message) in begun or offset in unacked
            }
        if self._leaving and (self._draining is None or self._draining.done()):
            self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._leaving:
            try:
                await self._release_some()
            except Exception as error:
                # Until the release succeeds, the next owner waits, at most for the rebalance time-out.
                logger.exception("releasing partitions failed: %r", error)
                await asyncio.sleep(RETRY_DELAY)
            if self._leaving:
                await self._acks.wait_for_ack(timeout=DRAIN_CHECK)

    async def _release_some(self) -> None:
        await self._reader.stop_reading(set(self._leaving))
        if any(self._acks.waiting(tp) for tp in self._leaving):
            await self._commit()
        async with self.lock:
            await self._release_idle()

    async def _release_idle(self) -> None:
        begun = {message.tp for message in self._begun()}
        idle = {tp for tp in self._leaving if not self._is_busy(tp, begun)}
        late = {tp for tp, deadline in self._leaving.items() if tp not in idle and monotonic() > deadline}
        for tp in late:
            logger.warning("%s-%s: its events take too long, they will be delivered again", *tp)
        if idle or late:
            await self.release(idle | late)
            for tp in idle | late:
                self._leaving.pop(tp, None)

    def _is_busy(self, tp: TP, begun: Collection[TP]) -> bool:
        return (
            tp in begun
            or bool(self._acks.waiting(tp))
            or bool(self._committing().get(tp))
            or self._attempts.is_counting(tp)
        )

    async def release(self, tps: Collection[TP]) -> None:
        """Release the leases of partitions, and forget them."""
        await self._persist(partial(self.let_go, tps))
        self._reader.remove(tps)

    async def let_go(self, tps: Iterable[TP]) -> None:
        """Release the leases of partitions, so that their next owners need not wait, and suspect no event.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        reader, keys = self._reader, self._context.keys
        calls = [
            RELEASE.command(
                [keys.lease(tp, reader.group), keys.suspects(tp, reader.group)],
                lease=reader.lease_of(tp),
                member_id=reader.member_id,
            )
            for tp in tps
        ]
        for reply in await self._context.scripts.run(RELEASE, calls, self._context.server.stream):
            if isinstance(reply, Exception) and is_unavailable(reply):
                raise reply

    async def stop(self) -> None:
        """Release nothing more, and wait for no other owner: every partition is given up together."""
        tasks = [task for task in (self._draining, self._looking) if task is not None]
        await cancel_and_wait(tasks)
        self._leaving.clear()
        self._awaited.clear()

    # -- partitions that come -----------------------------------------------------------------------------

    def wait_for(self, tps: Iterable[TP]) -> None:
        """Claim partitions as soon as their owners have released them, or are gone."""
        new = [tp for tp in tps if tp in self._reader.queues]
        self._reader.hold(new)
        self._awaited |= dict.fromkeys(new, monotonic() + self._longest)
        if self._awaited and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        pause = FIRST_LOOK
        while self._awaited:
            try:
                for tp, lease in (await self._free()).items():
                    self._awaited.pop(tp, None)
                    self._reader.take(tp, lease)
            except Exception as error:
                pause = LONGEST_LOOK
                if not isinstance(error, REDIS_ERRORS):  # reading logs an outage
                    logger.exception("waiting for partitions failed: %r", error)
            if self._awaited:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_LOOK)

    async def _free(self) -> dict[TP, str]:
        """Return the awaited partitions that may be claimed now, with the lease that each claim replaces."""
        reader, keys = self._reader, self._context.keys
        for tp in [tp for tp in self._awaited if not self._is_held(tp)]:
            del self._awaited[tp]
        tps = list(self._awaited)
        replies = await self._context.server.stream.execute_many(
            [("GET", keys.lease(tp, reader.group)) for tp in tps]
        )
        leases = {
            tp: (reply or b"").decode()
            for tp, reply in zip(tps, replies, strict=True)
            if not isinstance(reply, Exception)
        }
        holders = {lease.partition(":")[2] for lease in leases.values()} - {"", reader.member_id}
        members = await self._alive(sorted(holders))
        free: dict[TP, str] = {}
        for tp, lease in leases.items():
            is_late = monotonic() > self._awaited.get(tp, 0.0)
            if lease.partition(":")[2] not in members or is_late:
                free[tp] = lease
            if is_late:
                logger.warning("%s-%s: its owner %s has not released it in time", *tp, lease)
        return free

    async def _alive(self, member_ids: list[str]) -> set[str]:
        if not member_ids:
            return set()
        members = self._context.keys.group(self._reader.group).members
        found: list[Any] = await self._context.redis.hmget(members, member_ids)
        return {member for member, metadata in zip(member_ids, found, strict=True) if metadata is not None}

    def _is_held(self, tp: TP) -> bool:
        partition = self._reader.queues.get(tp)
        return partition is not None and partition.held and not partition.leaving
