"""Check which stages have a worker, for ``/readyz`` of the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faust_redis import GroupSampler
from faust_redis.redis import Command
from pipeline.telemetry.stages.snapshot import SESSION_TIMEOUT


class Staffing:
    """The stages that lack a worker.

    At first a stage counts only once its group has assigned its partitions, because no worker reads before.
    Later a live worker is enough: each rebalance would otherwise make every web process unready.

    Attributes:
        was_complete: whether all stages have had a worker at the same time since this process started.
    """

    def __init__(self, stages: Sequence[str]) -> None:
        """Take the names of the stages."""
        self.was_complete = False
        self._samplers = {stage: GroupSampler(stage) for stage in stages}

    def commands(self) -> list[Command]:
        """Return the commands whose replies ``missing`` takes."""
        commands: list[Command] = [("TIME",)]
        for sampler in self._samplers.values():
            commands += sampler.liveness_commands()
        return commands

    def missing(self, replies: Sequence[Any]) -> list[str]:
        """Return the stages without a worker now, from the replies to ``commands``."""
        seconds, *rest = replies
        found = iter(rest)
        oldest = int(seconds[0]) - SESSION_TIMEOUT
        missing = []
        for stage, sampler in self._samplers.items():
            latest, settled = sampler.read_liveness(found)
            alive = latest is not None and latest.beat >= oldest
            if not alive or not (settled or self.was_complete):
                missing.append(stage)
        self.was_complete = self.was_complete or not missing
        return missing
