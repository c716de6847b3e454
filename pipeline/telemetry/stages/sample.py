"""One look at all stages: what Redis knows of them at one moment, in one round trip.

The number of commands depends on stages, partitions and workers, never on the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis import GroupSample, GroupSampler, PartitionSample
from pipeline.telemetry.stages.report import Report, decode, report_key

#: The web nodes that live, by their last sign of life (ms, server time).
WEB_NODES: Final = "stage:{web}:nodes"


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """One worker at one moment.

    Attributes:
        beat: its last heartbeat, Unix time of the server in seconds.
        report: what it tells of itself; None when it has not yet, or does not.
    """

    id: str
    beat: float
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class StageSample:
    """One stage at one moment.

    Attributes:
        generation: of its group; it grows whenever a worker comes or goes, 0 before the first.
        settled: the group has shared out its partitions.
    """

    partitions: tuple[PartitionSample, ...] = ()
    workers: tuple[WorkerSample, ...] = ()
    generation: int = 0
    settled: bool = True


@dataclass(frozen=True, slots=True)
class PipelineSample:
    """All stages at one moment.

    Attributes:
        at: the server's time in seconds.
        web: the web nodes that live.
    """

    at: float
    stages: dict[str, StageSample]
    web: tuple[WorkerSample, ...] = ()


class Observer:
    """Looks at the stages; keeps of one sample only what the next has to ask for."""

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Take a client that does not decode responses."""
        self._redis = redis
        self._samplers = {stage: GroupSampler(stage) for stage in stages}
        self._workers: dict[str, list[str]] = {stage: [] for stage in (*self._samplers, "web")}
        self._missed = False

    async def sample(self) -> PipelineSample:
        """Sample once, in one round trip; in two when a worker or a partition is new.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        sample = await self._ask()
        return await self._ask() if self._missed else sample

    async def _ask(self) -> PipelineSample:
        try:
            replies = await self._send()
        except NoScriptError:
            await GroupSampler.load(self._redis)
            replies = await self._send()
        return self._read(iter(replies))

    async def _send(self) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(WEB_NODES, 0, -1, withscores=True)
            for node in self._workers["web"]:
                pipe.get(report_key("web", node))
            for stage, sampler in self._samplers.items():
                for command in sampler.commands():
                    pipe.execute_command(*command)
                for worker in self._workers[stage]:
                    pipe.get(report_key(stage, worker))
            return await pipe.execute()

    def _read(self, replies: Iterator[Any]) -> PipelineSample:
        self._missed = False
        seconds, micros = next(replies)
        beats = {member.decode(): score / 1000 for member, score in next(replies)}
        web = self._workers_of("web", beats, replies)
        stages = {stage: self._read_stage(stage, replies) for stage in self._samplers}
        return PipelineSample(seconds + micros / 1e6, stages, web)

    def _read_stage(self, stage: str, replies: Iterator[Any]) -> StageSample:
        sampler = self._samplers[stage]
        group: GroupSample = sampler.read(replies)
        self._missed |= sampler.is_stale
        beats = {member.id: member.beat for member in group.members}
        workers = self._workers_of(stage, beats, replies)
        return StageSample(group.partitions, workers, group.generation, group.settled)

    def _workers_of(
        self, stage: str, beats: Mapping[str, float], replies: Iterator[Any]
    ) -> tuple[WorkerSample, ...]:
        """Return those with a heartbeat, and the reports that were asked for with it."""
        reports = {worker: decode(next(replies)) for worker in self._workers[stage]}
        self._missed |= not beats.keys() <= reports.keys()
        self._workers[stage] = list(beats)
        return tuple(
            WorkerSample(worker, beat, reports.get(worker)) for worker, beat in sorted(beats.items())
        )
