"""What a worker tells of its own work: one small document in Redis, renewed every second.

    stage:{<stage>}:<worker>    string, JSON of a `Report`; expires by itself when the worker is gone
    stage:{web}:nodes           zset, web node → last sign of life (ms, server time)

What can be seen from outside (lag, pending, owners) is not in it: the streams tell that, and don't lie.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.telemetry.histogram import Counts

logger = logging.getLogger(__name__)

#: Seconds whose durations a report holds: a p99 needs a few hundred of them.
WINDOW: Final = 30.0
#: Seconds between reports: the page is at most this much behind.
INTERVAL: Final = 1.0
#: Milliseconds a report outlives its worker: long enough for a few that were late.
TTL_MS: Final = 5_000

# Readers skip reports of another layout, as while a new version is rolled out.
_LAYOUT = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker has done since it started.

    Attributes:
        uptime: seconds since it started.
        handled: attempts that ended, the failed ones included.
        failed: attempts that failed.
        working: messages that are worked on now.
        progress: grows with every sign that work goes on, as a token that the model sent.
        usual: how long the work takes at most, as a rule: the 99th percentile since the start, in seconds.
        wait: how long messages had been on their way to the agent, since they were sent; those of the last
            `WINDOW` seconds.
        work: how long the agent took, of the same.
    """

    uptime: float
    handled: int = 0
    failed: int = 0
    working: int = 0
    progress: int = 0
    usual: float = 0.0
    wait: Counts = field(default_factory=dict)
    work: Counts = field(default_factory=dict)


def report_key(stage: str, worker: str) -> str:
    """Return the key of a worker's report."""
    return f"stage:{{{stage}}}:{worker}"


def encode(report: Report) -> bytes:
    """Return a report as it stands in Redis."""
    return orjson.dumps({"v": _LAYOUT, **asdict(report)}, option=orjson.OPT_NON_STR_KEYS)


def decode(document: bytes | None) -> Report | None:
    """Return the report, None when there is none, or none of our layout."""
    if document is None:
        return None
    try:
        fields: dict[str, Any] = orjson.loads(document)
        if fields.pop("v") != _LAYOUT:
            return None
        for name in ("wait", "work"):
            fields[name] = {int(bucket): int(count) for bucket, count in fields[name].items()}
        return Report(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


async def keep_reporting(redis: Redis, stage: str, worker: str, take: Callable[[], Report]) -> None:
    """Report until cancelled. While Redis is away reports are left out: they are for now, not for later."""
    key, away = report_key(stage, worker), False
    while True:
        try:
            await redis.set(key, encode(take()), px=TTL_MS)
            away = False
        except (RedisError, OSError) as exc:
            if not away:
                logger.debug("the figures of this worker can't be reported: %r", exc)
            away = True
        await asyncio.sleep(INTERVAL)
