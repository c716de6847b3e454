"""Rate limits, kept in Redis, so that all web processes count together.

rate:{<what>}   string, the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371) in
                µs of the server's clock; expires by itself once the limit is at rest
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from pipeline.redis.scripts import Script

_TAKE = Script(__package__, "take_rate", keys=1, arguments=("interval", "tolerance"))

_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"(\d{1,7})/([smhd])(?:\+(\d{1,7}))?")


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen.

    Attributes:
        count: times per `period`.
        period: seconds.
        burst: how many times it may happen at once.
    """

    count: int
    period: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `5/s`, `30/m` or, with a burst of its own, `5/s+50`; `0` means no limit, None.

        Without one the burst is `count`.

        Raises:
            ValueError: it is none of these.
        """
        text = text.strip().lower()
        if text == "0":
            return None
        found = _RATE.fullmatch(text)
        if not found or not int(found[1]):
            raise ValueError(f"{text!r} is no rate such as 5/s, 30/m or 5/s+50")
        count = int(found[1])
        return cls(count, _PERIODS[found[2]], max(1, int(found[3] or count)))


class Rates:
    """Counts against rates."""

    def __init__(self, redis: Redis) -> None:
        """Take the connection."""
        self._redis = redis

    async def take(self, what: str, rate: Rate) -> float:
        """Count one more of `what`, if `rate` allows it now.

        Returns:
            0.0 when it was counted, else the seconds after which it would be; nothing was counted then.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        interval = rate.period * 1_000_000 // rate.count
        tolerance = interval * (rate.burst - 1)
        wait = await _TAKE(self._redis, [f"rate:{{{what}}}"], interval=interval, tolerance=tolerance)
        return int(wait) / 1_000_000
