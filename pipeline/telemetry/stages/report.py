"""Report a worker's own measurements in one small Redis document, renewed every second.

    stage:{<stage>}:<worker>    string, JSON of a ``Report``; expires when the worker is gone
    stage:{web}:nodes           zset, web node → last sign of life (ms, server time)

A report leaves out lag, pending entries and owners, because the streams hold their exact values.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.errors import describe_error
from pipeline.redis.client import execute
from pipeline.redis.keys import report_key
from pipeline.telemetry.histogram import Counts
from pipeline.telemetry.losses import Loss
from pipeline.telemetry.stages.decoding import typed

logger = logging.getLogger(__name__)

#: Seconds that the durations of a report cover: a 99th percentile needs a few hundred durations.
WINDOW: Final = 30.0
#: Seconds between reports, and thus the maximum delay of the page.
INTERVAL: Final = 1.0
#: Seconds between reports of a worker that has done nothing since the last one.
IDLE_INTERVAL: Final = 2.0
#: Milliseconds that a report lives: long enough for a few late renewals.
TTL_MS: Final = 5_000

# Readers skip reports of another layout, which occur while a new version is rolled out.
_LAYOUT = 1


@dataclass(frozen=True, slots=True)
class Report:
    """The work of one worker since its start.

    Attributes:
        uptime: seconds since the start.
        handled: finished attempts, including failed ones.
        failed: failed attempts.
        working: messages at work now.
        progress: a counter that grows with every sign of progress, such as a token from the model.
        usual: the 99th percentile of the work's duration since the start, in seconds.
        wait: the times from the sending of a message to the agent's start on it, over the last ``WINDOW``
            seconds.
        work: the durations of the agent's work on the same messages.
        cpu: seconds of CPU time of its process since the start, divided by ``stages``.
        stages: stages that the process runs; their CPU time can't be told apart.
        losses: the latest losses of Redis that the process has noticed.
        refused: refusals since the start, by reason.
        refusing: the addresses and sessions that were refused most often within two hours, masked, by reason.
        places: the messages that it works on at once; 0 when it does not report them.
    """

    uptime: float
    handled: int = 0
    failed: int = 0
    working: int = 0
    progress: int = 0
    usual: float = 0.0
    wait: Counts = field(default_factory=dict)
    work: Counts = field(default_factory=dict)
    cpu: float | None = None
    stages: int = 1
    losses: list[Loss] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    refusing: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    places: int = 0


def encode(report: Report) -> bytes:
    """Encode a report for Redis."""
    return orjson.dumps({"v": _LAYOUT, **asdict(report)}, option=orjson.OPT_NON_STR_KEYS)


def decode(document: bytes | None) -> Report | None:
    """Decode a report; return None for a missing one or another layout."""
    if document is None:
        return None
    try:
        found: dict[str, Any] = orjson.loads(document)
        is_whole = found["v"] == _LAYOUT and "wait" in found and "work" in found
        # A newer version may report more.
        return typed(Report, found) if is_whole else None
    except (ValueError, TypeError, KeyError):
        return None


async def save(redis: Redis, stage: str, worker: str, report: Report) -> None:
    """Write the report of a worker, which expires.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, or refuses to write.
    """
    await execute(redis, "SET", report_key(stage, worker), encode(report), "PX", TTL_MS)


async def keep_reporting(take: Callable[[], Report], send: Callable[[Report], Awaitable[None]]) -> None:
    """Report until cancelled; skip reports during an outage of Redis, because late ones are useless.

    Args:
        take: Returns the figures of now.
        send: Writes a report to Redis; only called for one with news, or to renew the last one.
    """
    last, away = None, False
    while True:
        report = take()
        if away or _is_due(report, last):
            try:
                await send(report)
                last, away = report, False
            except (RedisError, OSError) as exc:
                if not away:
                    logger.debug("reporting the figures of this process failed: %s", describe_error(exc))
                away = True
        await asyncio.sleep(INTERVAL)


def _is_due(report: Report, last: Report | None) -> bool:
    """Return whether a report has news, or the last one that was sent is to be renewed."""
    if last is None or report.uptime - last.uptime >= IDLE_INTERVAL:
        return True
    return replace(report, uptime=last.uptime, cpu=last.cpu) != last
