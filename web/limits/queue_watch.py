"""Sample the stages while many sessions of this process await an answer, and set the limit of an overload."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.errors import describe_error
from pipeline.settings import STAGES, Settings
from pipeline.telemetry.stages.queueing import QueueEstimator
from pipeline.telemetry.stages.sample import Observer
from web.limits.admission import AdmissionControl
from web.limits.in_flight import MANY_ACTIVE

logger = logging.getLogger(__name__)

#: Seconds between samples, and the further ones for each partition, whose sample costs Redis time.
INTERVAL: Final = 0.2
INTERVAL_PER_PARTITION: Final = 0.002


class QueueWatch:
    """Sample the stages for the limit of an ``AdmissionControl``."""

    def __init__(self, redis: Redis, settings: Settings, gate: AdmissionControl) -> None:
        """Store the client; nothing is sampled yet."""
        self._observer = Observer(redis, STAGES, summed=True)
        self._estimator = QueueEstimator(settings.infer_concurrency)
        self._interval = INTERVAL + INTERVAL_PER_PARTITION * settings.partitions
        self._gate = gate

    async def run(self) -> None:
        """Sample until cancelled; an outage of Redis lifts the limit."""
        in_flight, overload = self._gate.in_flight, self._gate.overload
        while True:
            in_flight.many.clear()
            if in_flight.active < MANY_ACTIVE and overload.limit is None:
                await in_flight.many.wait()
                self._estimator.forget()
            try:
                state = self._estimator.update(await self._observer.sample())
            except (RedisError, OSError) as exc:
                logger.debug("sampling the queue failed: %s", describe_error(exc))
                overload.expire(time.monotonic())
            else:
                if state is not None:
                    was_limited = overload.limit is not None
                    overload.update(time.monotonic(), state, in_flight.active)
                    if was_limited != (overload.limit is not None):
                        _log(was_limited, overload.delay)
            await asyncio.sleep(self._interval)


def _log(was_limited: bool, delay: float) -> None:
    if was_limited:
        logger.info("messages are accepted again without a limit; they wait for %.1f s", delay)
    else:
        logger.warning("messages wait for %.1f s, so further ones are refused; add workers", delay)
