"""Count rates in Redis, so that all web processes share the counts.

rate:{<what>}   string: the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371) in
                µs of the server's clock; expires once no event counts against the limit any more
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
    """A maximum number of events per period.

    Attributes:
        count: events per ``period``.
        period: the length of the period in seconds.
        burst: the number of events that may happen at once.
    """

    count: int
    period: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``5/s``, ``30/m`` or, with a burst, ``5/s+50``; ``0`` means no limit and gives None.

        The default burst is ``count``.

        Raises:
            ValueError: ``text`` is not a rate.
        """
        text = text.strip().lower()
        if text == "0":
            return None
        found = _RATE.fullmatch(text)
        if not found or not int(found[1]):
            raise ValueError(f"{text!r} is not a rate such as 5/s, 30/m or 5/s+50")
        count = int(found[1])
        return cls(count, _PERIODS[found[2]], max(1, int(found[3] or count)))

    def times(self, factor: int) -> Rate:
        """Return the rate of ``factor`` clients together."""
        return Rate(self.count * factor, self.period, self.burst * factor)


class Rates:
    """Count events against rates."""

    def __init__(self, redis: Redis) -> None:
        """Store the client."""
        self._redis = redis

    async def take(self, what: str, rate: Rate) -> float:
        """Count one event of ``what`` if ``rate`` allows it now.

        Returns:
            0.0 if the event was counted; otherwise the seconds to wait, and nothing was counted.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        interval = rate.period * 1_000_000 // rate.count
        tolerance = interval * (rate.burst - 1)
        wait = await _TAKE(self._redis, [f"rate:{{{what}}}"], interval=interval, tolerance=tolerance)
        return int(wait) / 1_000_000
