"""How much is waiting in each stage, and whether a new message should be taken at all.

The streams of the stages are emptied as their entries are acked, so their length is what is left to do.
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
from pipeline.redis.memory import MemoryReserve, memory_of

logger = logging.getLogger(__name__)

# Seconds between looks. A stage at its limit takes in at most what arrives in that time.
INTERVAL = 1.0
# A stage that was full takes messages again below this part of its limit, lest it flip with every look.
RESUME_AT = 0.8
# Seconds that a client is told to wait, at least and at most.
SHORTEST_WAIT, LONGEST_WAIT = 1, 60


@dataclass
class Pressure:
    """Judges the looks at the backlog; no I/O.

    Attributes:
        limits: the most that may wait, by stage; 0 for no bound.
        retry_after: seconds after which to try again, None while messages are taken.
        full: the stages that are full.
    """

    limits: Mapping[str, int]
    retry_after: int | None = None
    full: frozenset[str] = frozenset()
    _last: tuple[float, Mapping[str, int]] | None = field(default=None, repr=False)

    def update(self, now: float, waiting: Mapping[str, int]) -> None:
        """Take what waits in each stage.

        Args:
            now: of a monotonic clock, in seconds.
        """
        self.full = frozenset(
            stage
            for stage, limit in self.limits.items()
            if limit and waiting[stage] >= limit * (RESUME_AT if stage in self.full else 1)
        )
        self.retry_after = max((self._wait(stage, now, waiting) for stage in self.full), default=None)
        self._last = now, waiting

    def _wait(self, stage: str, now: float, waiting: Mapping[str, int]) -> int:
        """Return how long the stage needs, at the speed it had since the last look."""
        excess = waiting[stage] - self.limits[stage] * RESUME_AT
        if self._last is None or now <= self._last[0]:
            return SHORTEST_WAIT
        drained = (self._last[1][stage] - waiting[stage]) / (now - self._last[0])
        if drained <= 0:
            return LONGEST_WAIT
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, math.ceil(excess / drained)))


class BacklogWatch:
    """Looks at the backlog and at the memory of Redis once a second, for a whole process."""

    def __init__(self, redis: Redis, limits: Mapping[str, int], partitions: int) -> None:
        """Take the connection; `limits` as in `Pressure`."""
        self.pressure = Pressure(limits)
        self.memory = MemoryReserve()
        self._redis = redis
        self._partitions = partitions

    async def run(self) -> None:
        """Sample until cancelled. While Redis is away the last sample counts."""
        while True:
            try:
                waiting = await waiting_in(self._redis, self.pressure.limits, self._partitions)
                await self._look_at_memory()
            except (RedisError, OSError) as exc:
                logger.debug("the backlog can't be seen: %r", exc)
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
                "Redis uses %.0f %% of maxmemory: new sessions are %s, new messages are %s",
                100 * self.memory.used,
                sessions,
                messages,
            )


async def waiting_in(redis: Redis, stages: Mapping[str, int], partitions: int) -> dict[str, int]:
    """Return how many entries each stage has left to do, those at work included.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    return await Inspector(redis).lengths(dict.fromkeys(stages, partitions))


def _tell(pressure: Pressure, waiting: Mapping[str, int]) -> None:
    if pressure.full:
        stages = ", ".join(f"{stage} ({waiting[stage]} waiting)" for stage in sorted(pressure.full))
        logger.warning("new messages are refused, these stages are full: %s", stages)
    else:
        logger.info("new messages are taken again")
