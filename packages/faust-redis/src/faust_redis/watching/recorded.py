"""A day of moments in Redis, so that figures can be read after an incident, in any process.

The history has three tiers. Each moment goes into all of them, and a tier keeps one per interval: the one
with the highest weight, so that an incident of seconds is still there when only the moments of ten minutes
are left. One process writes at a time, under a lease; any may read. All keys share a slot, and all expire.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from faust_redis.redis.commands import execute
from faust_redis.redis.scripts import RECORD_HISTORY, ScriptRunner

__all__ = [
    "INTERVAL",
    "MOMENT_BYTES",
    "TIERS",
    "MomentTooLargeError",
    "RecordedHistory",
    "RecordedMoment",
    "Tier",
]


@dataclass(frozen=True, slots=True)
class Tier:
    """One moment per interval, each kept for some time; both in seconds."""

    interval: float
    kept: float

    @property
    def moments(self) -> int:
        """The maximum number of its moments."""
        return int(self.kept / self.interval) + 1


#: The tiers, the finest first.
TIERS: Final = (Tier(10.0, 3600.0), Tier(60.0, 6 * 3600.0), Tier(600.0, 24 * 3600.0))
#: Seconds between two moments.
INTERVAL: Final = TIERS[0].interval
#: Seconds after which another process may write: the writer writes three times in that time.
LEASE_SECONDS: Final = 30
#: The maximum size of a moment in Redis. A history has 867 moments at most,
#: so it is smaller than 7 MiB.
MOMENT_BYTES: Final = 8000


class MomentTooLargeError(ValueError):
    """A moment is larger than ``MOMENT_BYTES`` even when compressed.

    Attributes:
        size: Its compressed size in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def __str__(self) -> str:
        return f"a moment of {self.size} bytes; at most {MOMENT_BYTES} are kept"


@dataclass(frozen=True, slots=True)
class RecordedMoment:
    """One moment of a history.

    Attributes:
        at: The server's time when it was recorded, in seconds since the epoch.
        interval: Seconds that it stands for.
        weight: That of the moment; the highest of its interval.
    """

    at: float
    interval: float
    weight: int
    content: bytes


class RecordedHistory:
    """Writes and reads one history."""

    def __init__(self, redis: Redis, prefix: str, writer: str = "") -> None:
        """Take a client that does not decode responses.

        Args:
            prefix: The beginning of the keys, with a hash tag.
            writer: A name of this process that no other has; only a writer needs one.
        """
        self._redis = redis
        self._writer = writer
        self._lease = f"{prefix}:lease"
        self._tiers = [f"{prefix}:{tier.interval:g}s" for tier in TIERS]

    async def claim(self) -> bool:
        """Take or renew the lease; return whether this process holds it.

        Raises:
            redis.exceptions.RedisError: Redis is away, or denies it to this user.
        """
        return await self._record("", 0)

    async def record(self, content: bytes, weight: int) -> bool:
        """Record a moment; return False, and change nothing, if another process holds the lease.

        Raises:
            MomentTooLargeError: It is too large.
            redis.exceptions.RedisError: Redis is away, or denies it to this user; repeating does no harm.
        """
        compressed = zlib.compress(content, 6)
        if len(compressed) > MOMENT_BYTES:
            raise MomentTooLargeError(len(compressed))
        return await self._record(compressed, weight)

    async def _record(self, moment: bytes | str, weight: int) -> bool:
        spans = [
            milliseconds
            for tier in TIERS
            for milliseconds in (round(tier.interval * 1000), round(tier.kept * 1000))
        ]
        recorded = await ScriptRunner(self._redis).call(
            RECORD_HISTORY,
            [self._lease, *self._tiers],
            *spans,
            writer=self._writer,
            lease_ms=LEASE_SECONDS * 1000,
            weight=weight,
            moment=moment,
        )
        return bool(recorded)

    async def release(self) -> None:
        """Let another process write at once, if this one holds the lease.

        Raises:
            redis.exceptions.RedisError: Redis is away; the lease expires.
        """
        if await execute(self._redis, "GET", self._lease) == self._writer.encode():
            await execute(self._redis, "DEL", self._lease)

    async def at(self, seconds: float) -> RecordedMoment | None:
        """Return the last moment until a time, from the finest tier that has one near it; None for none.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        end = f"{seconds * 1000:.0f}"
        for key, tier in zip(self._tiers, TIERS, strict=True):
            start = f"{(seconds - 2 * tier.interval) * 1000:.0f}"
            found = await execute(self._redis, "ZRANGE", key, end, start, "BYSCORE", "REV", "LIMIT", 0, 1)
            if found:
                return _moment(found[0], tier)
        return None

    async def between(self, since: float, until: float, now: float) -> list[RecordedMoment]:
        """Return the moments of a span of time, from the finest tier that reaches back to its beginning.

        Args:
            now: The server's time; all three in seconds since the epoch.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        key, tier = next(
            (pair for pair in zip(self._tiers, TIERS, strict=True) if now - since <= pair[1].kept),
            (self._tiers[-1], TIERS[-1]),
        )
        span = (f"{since * 1000:.0f}", f"{until * 1000:.0f}")
        found = await execute(self._redis, "ZRANGE", key, *span, "BYSCORE")
        return [_moment(each, tier) for each in found]


def _moment(member: bytes, tier: Tier) -> RecordedMoment:
    weight, at, compressed = member.split(b" ", 2)
    return RecordedMoment(int(at) / 1000, tier.interval, int(weight), zlib.decompress(compressed))
