"""Watch all apps of a Redis from one process: one sample per second for all callers, few without callers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from mode import get_logger
from redis.asyncio import Redis

from faust_redis.log.keys import Keys
from faust_redis.redis.commands import REDIS_ERRORS
from faust_redis.watching.course import Course
from faust_redis.watching.discovery import discover
from faust_redis.watching.sampling import Sampler
from faust_redis.watching.shared_sampling import SharedSampling
from faust_redis.watching.snapshot import WatchSnapshot
from faust_redis.watching.topology import Topology

__all__ = ["Point", "Watch"]

logger = get_logger(__name__)

#: Seconds between samples.
INTERVAL: Final = 1.0
#: Seconds between the first two samples, because rates need two and a caller waits for them.
FIRST_INTERVAL: Final = 0.5
#: Seconds between two searches for apps and topics.
DISCOVERY_INTERVAL: Final = 5.0
#: The largest shares of the time that the searches and the samples take: both are rarer on a large server.
DISCOVERY_SHARE: Final = 0.05
SAMPLE_SHARE: Final = 0.25
#: Seconds without a call after which the watch counts as unused; a page calls every second.
LINGER: Final = 15.0
#: Seconds between samples while the watch is unused: often enough to find a past incident in the charts.
IDLE_INTERVAL: Final = 10.0
#: Seconds of the past that are kept for the charts.
HISTORY: Final = 300.0


@dataclass(frozen=True, slots=True)
class Point:
    """One app, or one topic, at one moment of the charts; rates per second, None while unknown.

    Attributes:
        left: Messages that an app has not finished, or those that a topic holds.
    """

    at: float
    rate_in: float | None
    rate_out: float | None
    left: int


class Watch(SharedSampling[WatchSnapshot]):
    """Discovers and samples all apps and topics of a namespace, for all callers of a process.

    Attributes:
        history: The last minutes of each app (``app:<id>``) and topic (``topic:<name>``).
    """

    def __init__(self, redis: Redis, *, namespace: str = "") -> None:
        """Take a client that does not decode responses; nothing is read yet.

        Raises:
            ValueError: The namespace is not allowed as one.
        """
        super().__init__("faust watch", INTERVAL)
        Keys(namespace)
        self.history: dict[str, deque[Point]] = {}
        self._redis = redis
        self._namespace = namespace
        self._discovery_due = float("-inf")

    def refresh(self) -> None:
        """Look for topics and apps again at the next sample, as after a change."""
        self._discovery_due = float("-inf")

    async def _watch(self) -> None:
        sampler, course = Sampler(self._redis, self._namespace), Course(self._namespace)
        topology, is_first = Topology(), True
        while True:
            self._wake.clear()
            began = time.monotonic()
            try:
                if began >= self._discovery_due:
                    topology = await discover(self._redis, self._namespace)
                    sampler.follow(topology)
                    took = time.monotonic() - began
                    self._discovery_due = time.monotonic() + max(DISCOVERY_INTERVAL, took / DISCOVERY_SHARE)
                    began = time.monotonic()
                snapshot = course.update(topology, await sampler.sample())
            except REDIS_ERRORS as error:
                self._publish(error)
                self._discovery_due = float("-inf")
                await asyncio.sleep(INTERVAL)
                continue
            if not is_first:  # rates need two samples
                self._publish(snapshot)
            await self._pause(FIRST_INTERVAL if is_first else INTERVAL, time.monotonic() - began)
            is_first = False

    async def _pause(self, interval: float, took: float) -> None:
        if interval == INTERVAL and self._is_unused(LINGER):
            await self._wait_for_caller(IDLE_INTERVAL)
        else:
            await asyncio.sleep(max(interval, took / SAMPLE_SHARE))

    def _publish(self, seen: WatchSnapshot | Exception) -> None:
        super()._publish(seen)
        if isinstance(seen, WatchSnapshot):
            points = {
                f"app:{app.name}": Point(seen.at, app.rate_in, app.rate_out, app.lag + app.pending)
                for app in seen.apps
            }
            points |= {
                f"topic:{topic.name}": Point(seen.at, topic.rate_in, None, topic.entries)
                for topic in seen.topics
            }
            self.history = {name: self.history.get(name) or deque() for name in points}
            for name, point in points.items():
                kept = self.history[name]
                kept.append(point)
                while kept[0].at < seen.at - HISTORY:
                    kept.popleft()
