"""Measure the backlog of each stage, and decide whether to accept new messages.

Acked entries leave a stage's streams, so the length of the streams is the backlog.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis import Inspector
from pipeline.errors import describe_error
from pipeline.redis.memory import MemoryReserve, memory_of

logger = logging.getLogger(__name__)

#: Seconds between samples; a full stage accepts the messages that arrive in that time.
INTERVAL = 1.0
#: Seconds between samples while no message comes and none waits, because an idle service should cost little.
IDLE_INTERVAL = 30.0
#: A full stage accepts messages again below this share of its limit, so that it does not flip with each
#: sample.
RESUME_AT = 0.8
#: The minimum and maximum ``Retry-After`` for clients, in seconds.
SHORTEST_WAIT, LONGEST_WAIT = 1, 60


@dataclass
class Pressure:
    """Decide from samples of the backlog whether to accept messages; no I/O.

    Attributes:
        limits: the maximum number of waiting entries by stage; 0 for no limit.
        retry_after: seconds after which a client should try again, None while messages are accepted.
        full: the stages that are full.
        asked: whether this was used to decide on a message since the last sample.
    """

    limits: Mapping[str, int]
    retry_after: int | None = None
    full: frozenset[str] = frozenset()
    asked: bool = False
    _last: tuple[float, Mapping[str, int]] | None = field(default=None, repr=False)

    def update(self, now: float, waiting: Mapping[str, int]) -> None:
        """Take a sample: the number of waiting entries by stage.

        Args:
            now: the time of a monotonic clock, in seconds.
        """
        self.full = frozenset(
            stage
            for stage, limit in self.limits.items()
            if limit and waiting[stage] >= limit * (RESUME_AT if stage in self.full else 1)
        )
        self.retry_after = max((self._wait(stage, now, waiting) for stage in self.full), default=None)
        self._last = now, waiting
        self.asked = False

    def is_due(self, now: float) -> bool:
        """Return whether to take a sample, called every ``INTERVAL``; ``now`` as in ``update``."""
        if self.asked or self._last is None:
            return True
        at, waiting = self._last
        return any(waiting.values()) or now - at >= IDLE_INTERVAL

    def _wait(self, stage: str, now: float, waiting: Mapping[str, int]) -> int:
        """Estimate the seconds until the stage has room, from its speed since the last sample."""
        excess = waiting[stage] - self.limits[stage] * RESUME_AT
        if self._last is None or now <= self._last[0]:
            return SHORTEST_WAIT
        drained = (self._last[1][stage] - waiting[stage]) / (now - self._last[0])
        if drained <= 0:
            return LONGEST_WAIT
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, math.ceil(excess / drained)))


class BacklogWatch:
    """Sample the backlog and the memory of Redis once a second for a whole process."""

    def __init__(self, redis: Redis, limits: Mapping[str, int], partitions: int) -> None:
        """Store the client; ``limits`` as in ``Pressure``."""
        self.pressure = Pressure(limits)
        self.memory = MemoryReserve()
        self._redis = redis
        self._partitions = partitions

    async def run(self) -> None:
        """Sample until cancelled; during an outage of Redis the last sample stays in force."""
        while True:
            refuses = self.memory.refuses_sessions or self.memory.refuses_messages
            if not refuses and not self.pressure.is_due(time.monotonic()):
                await asyncio.sleep(INTERVAL)
                continue
            try:
                waiting = await waiting_in(self._redis, self.pressure.limits, self._partitions)
                await self._look_at_memory()
            except (RedisError, OSError) as exc:
                logger.debug("sampling the backlog failed: %s", describe_error(exc))
            else:
                before = self.pressure.full
                self.pressure.update(time.monotonic(), waiting)
                if before != self.pressure.full:
                    _tell(self.pressure, waiting)
            await asyncio.sleep(INTERVAL)

    async def _look_at_memory(self) -> None:
        before = self.memory.refuses_sessions, self.memory.refuses_messages
        self.memory.update(*await memory_of(self._redis))
        after = self.memory.refuses_sessions, self.memory.refuses_messages
        if after != before:
            sessions, messages = ("refused" if refuses else "taken" for refuses in after)
            logger.warning(
                "redis uses %.0f %% of maxmemory: new sessions are %s, new messages are %s",
                100 * self.memory.used,
                sessions,
                messages,
            )


async def waiting_in(redis: Redis, stages: Mapping[str, int], partitions: int) -> dict[str, int]:
    """Return the number of unfinished entries by stage, including those at work.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    return await Inspector(redis).lengths(dict.fromkeys(stages, partitions))


def _tell(pressure: Pressure, waiting: Mapping[str, int]) -> None:
    if pressure.full:
        stages = ", ".join(f"{stage} ({waiting[stage]} waiting)" for stage in sorted(pressure.full))
        logger.warning("stages are full, new messages are refused; add workers: %s", stages)
    else:
        logger.info("stages have room, new messages are accepted again")
