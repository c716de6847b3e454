"""Watch the stages from one process: one sample per second for all callers, fewer without callers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis.watching import SharedSampling
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
#: How many times longer an unused watch waits while no message comes and none is left.
QUIET_FACTOR: Final = 3
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


class StageWatch(SharedSampling[Snapshot]):
    """Sample the stages for all callers of a process."""

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Store a client that does not decode responses; nothing is sampled yet."""
        super().__init__("stage watch", INTERVAL)
        self.history: dict[str, deque[Point]] = {stage: deque() for stage in stages}
        self._redis = redis
        self._stages = tuple(stages)

    async def _watch(self) -> None:
        observer, course = Observer(self._redis, self._stages), Course()
        pause, first = FIRST_INTERVAL, True
        while True:
            self._wake.clear()
            try:
                snapshot = course.update(await observer.sample())
            except (RedisError, OSError) as exc:
                self._publish(exc)
            else:
                # Rates need two samples.
                if not first:
                    self._publish(snapshot)
                    pause = INTERVAL
                first = False
            if pause == INTERVAL and self._is_unused(LINGER):
                await self._wait_for_caller(IDLE_INTERVAL * (QUIET_FACTOR if self._is_quiet() else 1))
            else:
                await asyncio.sleep(pause)

    def _is_quiet(self) -> bool:
        """Return whether no stage had anything to do at the last two samples, or between them."""
        last = [points[-1] for points in self.history.values() if points]
        return not any(point.rate_in or point.rate_out or point.left for point in last)

    def _publish(self, seen: Snapshot | Exception) -> None:
        super()._publish(seen)
        if isinstance(seen, Snapshot):
            for stage in seen.stages:
                points = self.history[stage.name]
                points.append(Point.of(seen.at, stage))
                while points[0].at < seen.at - HISTORY:
                    points.popleft()
