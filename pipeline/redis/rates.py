"""Count rates in Redis, so that all web processes share the counts.

rate:{<what>}   string: the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371) in
                µs of the server's clock; expires once no event counts against the limit any more
"""

from __future__ import annotations

from redis.asyncio import Redis

from pipeline.redis.rate import Rate
from pipeline.redis.scripts import Script

_TAKE = Script(__package__, "take_rate", keys=1, arguments=("interval", "tolerance"))


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
