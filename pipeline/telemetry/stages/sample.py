"""Sample the state of all stages from Redis in one round trip, on a cluster one to each node.

The number of commands depends on the stages, partitions and workers, never on the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis import GroupSample, GroupSampler, PartitionSample
from faust_redis.redis import Command, server_of
from pipeline.redis.client import execute_many
from pipeline.redis.keys import WEB_NODES, report_key
from pipeline.telemetry.stages.report import Report, decode

#: Partitions that one command adds up: Redis serves no other client for 0.3 ms.
SUMMED_AT_ONCE: Final = 64


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

    def __init__(self, redis: Redis, stages: Sequence[str], *, summed: bool = False) -> None:
        """Store a client made by ``connect``.

        Args:
            summed: only count entries, at an eighth of the cost; partitions are then added up.
        """
        self._redis = redis
        together = SUMMED_AT_ONCE if server_of(redis).stream.keeps_order else 1
        summing = together if summed else 0
        self._samplers = {stage: GroupSampler(stage, summing=summing) for stage in stages}
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
        commands: list[Command] = [("TIME",), ("ZRANGE", WEB_NODES, 0, -1, "WITHSCORES")]
        commands += [("GET", report_key("web", node)) for node in self._workers["web"]]
        for stage, sampler in self._samplers.items():
            commands += sampler.commands()
            commands += [("GET", report_key(stage, worker)) for worker in self._workers[stage]]
        return await execute_many(self._redis, commands)

    def _read(self, replies: Iterator[Any]) -> PipelineSample:
        self._missed = False
        seconds, micros = map(int, next(replies))
        nodes = next(replies)
        beats = {
            member.decode(): float(score) / 1000
            for member, score in zip(nodes[::2], nodes[1::2], strict=True)
        }
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
