"""The stages as one process watches them: one look a second for all who ask, none while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.stages.look import Observer
from pipeline.stages.snapshot import Course, Snapshot, Stage
from pipeline.transport.tasks import end

#: Seconds between looks.
INTERVAL: Final = 1.0
#: Seconds between the first two looks: rates need two, and somebody waits.
FIRST_INTERVAL: Final = 0.5
#: Seconds without a question after which no more is looked: a page asks every second or two.
LINGER: Final = 15.0
#: Looks that are kept for the charts: five minutes.
HISTORY: Final = 300


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
    def of(cls, at: float, stage: Stage) -> Point:
        """Return what the charts show of a stage."""
        left = stage.lag + stage.pending
        durations = (stage.wait.p50, stage.wait.p99, stage.work.p50, stage.work.p99)
        return cls(at, stage.rate_in, stage.rate_out, left, *durations)


class StageWatch:
    """Looks while somebody asks."""

    def __init__(self, redis: Redis, stages: Sequence[str]) -> None:
        """Take a client that does not decode responses; nothing is asked yet."""
        self.history: dict[str, deque[Point]] = {stage: deque(maxlen=HISTORY) for stage in stages}
        self._redis = redis
        self._stages = tuple(stages)
        self._asked = 0.0
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._seen: Snapshot | Exception | None = None

    async def snapshot(self) -> Snapshot:
        """Return the latest figures; the first call waits for two looks.

        Raises:
            redis.exceptions.RedisError, OSError: Redis was away at the last look.
        """
        self._asked = time.monotonic()
        if self._task is None or self._task.done():
            self._seen = None
            self._news.clear()
            self._task = asyncio.create_task(self._watch(), name="stage watch")
        if self._seen is None:
            await self._news.wait()
        if isinstance(self._seen, Exception):
            raise self._seen
        assert self._seen is not None, "there are news"  # noqa: S101
        return self._seen

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            await end([self._task])

    async def _watch(self) -> None:
        observer, course, looks = Observer(self._redis, self._stages), Course(), 0
        while self._seen is None or time.monotonic() - self._asked < LINGER:
            try:
                snapshot = course.see(await observer.look())
            except (RedisError, OSError) as exc:
                self._tell(exc)
            else:
                looks += 1
                if looks > 1:
                    self._tell(snapshot)
            await asyncio.sleep(INTERVAL if looks != 1 else FIRST_INTERVAL)

    def _tell(self, seen: Snapshot | Exception) -> None:
        self._seen = seen
        self._news.set()
        if isinstance(seen, Snapshot):
            for stage in seen.stages:
                self.history[stage.name].append(Point.of(seen.at, stage))
