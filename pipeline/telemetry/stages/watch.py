"""The stages as one process watches them: a look each second for all who ask, few while nobody does."""

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

#: Seconds between looks.
INTERVAL: Final = 1.0
#: Seconds between the first two looks: rates need two, and somebody waits.
FIRST_INTERVAL: Final = 0.5
#: Seconds without a question after which nobody seems to look: a page asks every second.
LINGER: Final = 15.0
#: Seconds between looks while nobody does: enough for who comes after an incident to find its course in the
#: charts. One round trip in that time is all that an unwatched service pays.
IDLE_INTERVAL: Final = 10.0
#: Seconds of the past that are kept for the charts.
HISTORY: Final = 300.0


@dataclass(frozen=True, slots=True)
class Point:
    """One stage at one moment of the charts; rates per second, durations in seconds, None for unknown."""

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
        """Return what the charts show of a stage."""
        left = stage.lag + stage.pending
        durations = (stage.wait.p50, stage.wait.p99, stage.work.p50, stage.work.p99)
        return cls(at, stage.rate_in, stage.rate_out, left, *durations)


class StageWatch:
    """Looks at the stages for a whole process."""

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Take a client that does not decode responses; nothing is asked yet."""
        self.history: dict[str, deque[Point]] = {stage: deque() for stage in stages}
        self._redis = redis
        self._stages = tuple(stages)
        self._asked = self._looked = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._seen: Snapshot | Exception | None = None

    def start(self) -> None:
        """Begin to look now and then, until `stop`."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="stage watch")

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            await cancel_and_wait([self._task])

    async def snapshot(self) -> Snapshot:
        """Return the latest figures, a second old at most; starts the watch if nobody has.

        Raises:
            redis.exceptions.RedisError, OSError: Redis was away at the last look.
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
                # Rates need two looks.
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
