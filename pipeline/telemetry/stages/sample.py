"""Sample the state of all stages from Redis in one round trip.

The number of commands depends on the stages, partitions and workers, never on the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis import GroupSample, GroupSampler, PartitionSample
from pipeline.telemetry.stages.report import Report, decode, report_key

#: Key of the live web nodes, by their last sign of life (ms, server time).
WEB_NODES: Final = "stage:{web}:nodes"


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """One worker at one moment.

    Attributes:
        beat: the server's Unix time of its last heartbeat, in seconds.
        report: its report, None when there is none.
    """

    id: str
    beat: float
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class StageSample:
    """One stage at one moment.

    Attributes:
        generation: the generation of its group, which grows whenever a worker joins or leaves; 0 before the
            first worker.
        settled: whether the group has assigned its partitions.
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
        web: the live web nodes.
    """

    at: float
    stages: dict[str, StageSample]
    web: tuple[WorkerSample, ...] = ()


class Observer:
    """Sample the stages; an instance keeps only the names that the next sample has to query."""

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Store a client that does not decode responses."""
        self._redis = redis
        self._samplers = {stage: GroupSampler(stage) for stage in stages}
        self._workers: dict[str, list[str]] = {stage: [] for stage in (*self._samplers, "web")}
        self._missed = False

    async def sample(self) -> PipelineSample:
        """Sample once: one round trip, or two when a worker or a partition is new.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
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
        """Return the workers with a heartbeat, with their reports."""
        reports = {worker: decode(next(replies)) for worker in self._workers[stage]}
        self._missed |= not beats.keys() <= reports.keys()
        self._workers[stage] = list(beats)
        return tuple(
            WorkerSample(worker, beat, reports.get(worker)) for worker, beat in sorted(beats.items())
        )
