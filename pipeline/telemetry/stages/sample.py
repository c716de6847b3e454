"""One look at all stages: what Redis knows of them at one moment, in one round trip.

The number of commands depends on stages, partitions and workers, never on the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from faust_redis.log.keys import GroupKeys, attempts_key, dead_key, lease_key, stream_key, topic_key
from pipeline.redis.client import execute
from pipeline.redis.scripts import Script
from pipeline.telemetry.stages.report import Report, decode, report_key

#: The web nodes that live, by their last sign of life (ms, server time).
WEB_NODES: Final = "stage:{web}:nodes"

_LOOK = Script(__package__, "sample_partition", keys=4, arguments=("group",))


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """One partition at one moment.

    Attributes:
        length: entries in the stream.
        added: offset of the last entry ever added; offsets are dense, so this counts them.
        read: offset of the last entry that the group has read.
        pending: entries read and not acked.
        oldest: offset of the oldest entry not done, 0 when all are.
        oldest_sent: when that was sent, Unix time in seconds; None when nothing is left or it does not say.
        owner: the member that holds the lease, be it alive or not; None before the first.
        failing: entries that failed and will be tried again.
        dead: dead letters.
    """

    length: int = 0
    added: int = 0
    read: int = 0
    pending: int = 0
    oldest: int = 0
    oldest_sent: float | None = None
    owner: str | None = None
    failing: int = 0
    dead: int = 0

    @property
    def lag(self) -> int:
        """Entries that the group has not read yet."""
        return self.added - self.read

    @property
    def done(self) -> int:
        """Entries that came and are not left to do."""
        return self.read - self.pending


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
        self._stages = tuple(stages)
        self._partitions = dict.fromkeys(self._stages, 0)
        self._workers: dict[str, list[str]] = {stage: [] for stage in (*self._stages, "web")}
        self._missed = False

    async def sample(self) -> PipelineSample:
        """PipelineSample once, in one round trip; in two when a worker or a partition is new.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        sample = await self._ask()
        return await self._ask() if self._missed else sample

    async def _ask(self) -> PipelineSample:
        try:
            replies = await self._send()
        except NoScriptError:
            await execute(self._redis, "SCRIPT", "LOAD", _LOOK.text)
            replies = await self._send()
        return self._read(iter(replies))

    async def _send(self) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            self._ask_workers(pipe, "web", WEB_NODES)
            for stage in self._stages:
                keys = GroupKeys.of(stage)
                self._ask_workers(pipe, stage, keys.heartbeats)
                pipe.hget(topic_key(stage), "partitions")
                pipe.hget(keys.state, "generation")
                pipe.exists(keys.plan)
                for number in range(self._partitions[stage]):
                    place = (stage, number)
                    names = (stream_key(*place), lease_key(*place, stage), attempts_key(*place, stage))
                    pipe.execute_command("EVALSHA_RO", _LOOK.sha, 4, *names, dead_key(*place), stage)
            return await pipe.execute()

    def _ask_workers(self, pipe: Pipeline, stage: str, beats: str) -> None:
        pipe.zrange(beats, 0, -1, withscores=True)
        for worker in self._workers[stage]:
            pipe.get(report_key(stage, worker))

    def _read(self, replies: Iterator[Any]) -> PipelineSample:
        self._missed = False
        seconds, micros = next(replies)
        web = self._read_workers(replies, "web")
        stages = {stage: self._read_stage(replies, stage) for stage in self._stages}
        return PipelineSample(seconds + micros / 1e6, stages, web)

    def _read_workers(self, replies: Iterator[Any], stage: str) -> tuple[WorkerSample, ...]:
        beats = {member.decode(): score / 1000 for member, score in next(replies)}
        reports = {worker: decode(next(replies)) for worker in self._workers[stage]}
        self._missed |= not beats.keys() <= reports.keys()
        self._workers[stage] = list(beats)
        return tuple(
            WorkerSample(worker, beat, reports.get(worker)) for worker, beat in sorted(beats.items())
        )

    def _read_stage(self, replies: Iterator[Any], stage: str) -> StageSample:
        workers = self._read_workers(replies, stage)
        recorded, generation, planned = (int(next(replies) or 0) for _ in range(3))
        partitions = tuple(_partition(next(replies)) for _ in range(self._partitions[stage]))
        self._missed |= recorded != self._partitions[stage]
        self._partitions[stage] = recorded
        return StageSample(partitions, workers, generation, bool(planned) or not workers)


def _partition(reply: list[Any]) -> PartitionSample:
    length, added, read, pending, oldest, sent, lease, failing, dead = reply
    owner = lease.decode().partition(":")[2] if lease else None
    return PartitionSample(
        length, added, read, pending, oldest, sent / 1000 if sent else None, owner, failing, dead
    )
