"""Check which stages have a worker, for ``/readyz`` of the web."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from faust_redis import GroupSampler
from faust_redis.redis import Command
from pipeline.redis.client import execute_many
from pipeline.telemetry.stages.snapshot import SESSION_TIMEOUT


class Staffing:
    """The stages that lack a worker.

    At first a stage counts only once its group has assigned its partitions, because no worker reads before.
    Later a live worker is enough: each rebalance would otherwise make every web process unready.

    Attributes:
        was_complete: whether all stages have had a worker at the same time since this process started.
    """

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Store a client made by ``connect``."""
        self.was_complete = False
        self._redis = redis
        self._samplers = {stage: GroupSampler(stage) for stage in stages}

    async def missing(self) -> list[str]:
        """Return the stages without a worker now.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        commands: list[Command] = [("TIME",)]
        for sampler in self._samplers.values():
            commands += sampler.liveness_commands()
        seconds, *replies = await execute_many(self._redis, commands)
        found = iter(replies)
        oldest = int(seconds[0]) - SESSION_TIMEOUT
        missing = []
        for stage, sampler in self._samplers.items():
            latest, settled = sampler.read_liveness(found)
            alive = latest is not None and latest.beat >= oldest
            if not alive or not (settled or self.was_complete):
                missing.append(stage)
        self.was_complete = self.was_complete or not missing
        return missing
