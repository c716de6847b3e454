"""Watch the stages from one process: one sample per second for all callers, fewer without callers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis.redis import cancel_and_wait
from pipeline.telemetry.stages.sample import Observer
from pipeline.telemetry.stages.snapshot import Course, Snapshot, StageSnapshot

#: Seconds between samples.
INTERVAL: Final = 1.0
#: Seconds between the first two samples, because rates need two and a caller waits for them.
FIRST_INTERVAL: Final = 0.5
#: Seconds without a call after which the watch counts as unused; a page calls every second.
LINGER: Final = 15.0
#: Seconds between samples while the watch is unused: often enough to find a past incident in the charts, at
#: the cost of one round trip each.
IDLE_INTERVAL: Final = 10.0
#: Seconds of the past that are kept for the charts.
HISTORY: Final = 300.0


@dataclass(frozen=True, slots=True)
class Point:
    """One stage at one moment in the charts; rates per second, durations in seconds, None while unknown."""

    at: float
    rate_in: float | None
    rate_out: float | None
    left: int
    wait_p50: float | None
    wait_p99: float | None
    work_p50: float | None
    work_p99: float | None

    @classmethod
    def of(cls, at: float, stage: StageSnapshot) -> Point:
        """Return the charts' figures of a stage."""
        left = stage.lag + stage.pending
        durations = (stage.wait.p50, stage.wait.p99, stage.work.p50, stage.work.p99)
        return cls(at, stage.rate_in, stage.rate_out, left, *durations)


class StageWatch:
    """Sample the stages for all callers of a process."""

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Store a client that does not decode responses; nothing is sampled yet."""
        self.history: dict[str, deque[Point]] = {stage: deque() for stage in stages}
        self._redis = redis
        self._stages = tuple(stages)
        self._asked = self._looked = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._seen: Snapshot | Exception | None = None

    def start(self) -> None:
        """Start the sampling task, which runs until ``stop``."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="stage watch")

    async def stop(self) -> None:
        """Stop the sampling task."""
        if self._task is not None:
            await cancel_and_wait([self._task])

    async def snapshot(self) -> Snapshot:
        """Return the latest snapshot, at most a second old; starts the watch if necessary.

        Raises:
            redis.exceptions.RedisError, OSError: Redis was unavailable at the last sample.
        """
        self._asked = time.monotonic()
        self.start()
        if self._seen is None or self._looked < self._asked - 2 * INTERVAL:
            self._news.clear()
            self._wake.set()
            await self._news.wait()
        if isinstance(self._seen, Exception):
            raise self._seen
        assert self._seen is not None, "there are news"  # noqa: S101
        return self._seen

    async def _watch(self) -> None:
        observer, course = Observer(self._redis, self._stages), Course()
        pause, first = FIRST_INTERVAL, True
        while True:
            self._wake.clear()
            try:
                snapshot = course.update(await observer.sample())
            except (RedisError, OSError) as exc:
                self._tell(exc)
            else:
                # Rates need two samples.
                if not first:
                    self._tell(snapshot)
                    pause = INTERVAL
                first = False
            if pause == INTERVAL and time.monotonic() - self._asked > LINGER:
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_INTERVAL):
                        await self._wake.wait()
            else:
                await asyncio.sleep(pause)

    def _tell(self, seen: Snapshot | Exception) -> None:
        self._seen = seen
        self._looked = time.monotonic()
        self._news.set()
        if isinstance(seen, Snapshot):
            for stage in seen.stages:
                points = self.history[stage.name]
                points.append(Point.of(seen.at, stage))
                while points[0].at < seen.at - HISTORY:
                    points.popleft()
