"""Watch the stages from one process: one sample per second for all callers, fewer without callers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from faust_redis.watching import Recorder, SharedSampling
from pipeline.chat.waiting import Inboxes, inboxes
from pipeline.telemetry.stages.past import contents_of, weight_of_snapshot
from pipeline.telemetry.stages.points import Point
from pipeline.telemetry.stages.redis_cost import RedisCost, RedisCostMeter
from pipeline.telemetry.stages.sample import Observer
from pipeline.telemetry.stages.snapshot import Course, Snapshot

logger = logging.getLogger(__name__)

#: Seconds between samples.
INTERVAL: Final = 1.0
#: Seconds between the first two samples, because rates need two and a caller waits for them.
FIRST_INTERVAL: Final = 0.5
#: Seconds without a call after which the watch counts as unused; a page calls every second.
LINGER: Final = 15.0
#: Seconds between samples while the watch is unused: often enough to find a past incident in the charts, at
#: the cost of one round trip each.
IDLE_INTERVAL: Final = 10.0
#: Seconds to wait for current figures if there are earlier ones.
PATIENCE: Final = 2.0
#: Seconds of the past that are kept for the charts.
HISTORY: Final = 300.0


class StageWatch(SharedSampling[Snapshot]):
    """Sample the stages for all callers of a process."""

    def __init__(self, redis: Redis, stages: Sequence[str], recorder: Recorder | None = None) -> None:
        """Store a client that does not decode responses; nothing is sampled yet.

        Args:
            recorder: records the snapshots for a day.
        """
        super().__init__("stage watch", INTERVAL)
        self.history: dict[str, deque[Point]] = {stage: deque() for stage in stages}
        self._redis = redis
        self._stages = tuple(stages)
        self._recorder = recorder
        self._meter = RedisCostMeter(redis)
        self._inboxes: Inboxes | None = None
        self._cost: RedisCost | None = None
        self._last: tuple[float, Snapshot] | None = None

    async def latest(self) -> Snapshot:
        """Return the current snapshot; while Redis is away or a node of it is, the last one as ``stale``.

        Raises:
            redis.exceptions.RedisError, OSError: Redis is away, and has been since the start.
        """
        try:
            async with asyncio.timeout(None if self._last is None else PATIENCE):
                return await self.snapshot()
        except (RedisError, OSError):  # a time-out is an OSError
            if self._last is None:
                raise
            sampled, snapshot = self._last
            return replace(snapshot, stale=time.monotonic() - sampled)

    async def _watch(self) -> None:
        observer, course = Observer(self._redis, self._stages), Course()
        pause, first = FIRST_INTERVAL, True
        while True:
            self._wake.clear()
            try:
                snapshot = await self._completed(course.update(await observer.sample()))
            except (RedisError, OSError) as exc:
                self._publish(exc)
            else:
                # Rates need two samples.
                if not first:
                    self._publish(snapshot)
                    pause = INTERVAL
                    await self._record(snapshot)
                first = False
            if pause == INTERVAL and self._is_unused(LINGER):
                await self._wait_for_caller(IDLE_INTERVAL)
            else:
                await asyncio.sleep(pause)

    async def _completed(self, snapshot: Snapshot) -> Snapshot:
        """Add the figures that are sampled less often, because they cost more."""
        if self._meter.is_due(snapshot.at):
            turns = sum(each.done for each in snapshot.stages[-1].partitions)
            try:
                self._cost = await self._meter.sample(snapshot.at, turns)
                self._inboxes = await inboxes(self._redis)
            except ResponseError as exc:
                # A user of Redis that may not read sessions, such as the operator's, sees the rest.
                logger.debug("Redis refuses some figures: %s", exc)
        return replace(snapshot, inboxes=self._inboxes, redis=self._cost)

    async def _record(self, snapshot: Snapshot) -> None:
        if self._recorder is not None and self._recorder.is_due():
            await self._recorder.offer(contents_of(snapshot), weight_of_snapshot(snapshot))

    def _publish(self, seen: Snapshot | Exception) -> None:
        super()._publish(seen)
        if isinstance(seen, Snapshot):
            self._last = time.monotonic(), seen
            for stage in seen.stages:
                points = self.history[stage.name]
                points.append(Point.of(seen.at, stage))
                while points[0].at < seen.at - HISTORY:
                    points.popleft()
