"""The entries of a partition that are not done yet, page by page.

A page is a range of offsets, so it costs what it holds, however long the stream is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from faust_redis.log.entries import Record, decode, offset_of
from faust_redis.log.keys import attempts_key, stream_key
from pipeline.redis.client import execute

#: Entries of a page at most: each may hold MESSAGE_MAX_BYTES.
PAGE_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry.

    Attributes:
        record: what it holds; None when it was deleted while it was pending.
        attempts: how often it has failed.
        consumer: who has read it; None while nobody has.
        idle: seconds since that one read it; None while nobody has.
        deliveries: how often it was read.
    """

    offset: int
    record: Record | None
    attempts: int = 0
    consumer: str | None = None
    idle: float | None = None
    deliveries: int = 0


class Entries:
    """Pages through the entries of one stage; changes nothing."""

    def __init__(self, redis: Redis, stage: str) -> None:
        """Take a client that does not decode responses; `stage` is the topic and the group."""
        self._redis = redis
        self._stage = stage

    async def latest(
        self, partition: int, *, before: int | None = None, count: int = 20
    ) -> list[StreamEntry]:
        """Return the entries with the largest offsets, the latest first.

        Args:
            before: an offset; only older entries are returned.
            count: at most `PAGE_LIMIT`.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        end = "+" if before is None else f"(0-{before}"
        limit = min(count, PAGE_LIMIT)
        found = await execute(
            self._redis, "XREVRANGE", stream_key(self._stage, partition), end, "-", "COUNT", limit
        )
        records = [_record(entry_id, fields) for entry_id, fields in found]
        if not records:
            return []
        waits = await self._pending(partition, records[-1].offset, records[0].offset, limit)
        failed = await self._attempts(partition, [record.offset for record in records])
        return [
            StreamEntry(record.offset, record, failed[record.offset], *waits.get(record.offset, ()))
            for record in records
        ]

    async def pending(self, partition: int, *, after: int = 0, count: int = 20) -> list[StreamEntry]:
        """Return entries that were read and are not done, the oldest first.

        Args:
            after: an offset; only newer entries are returned.
            count: at most `PAGE_LIMIT`.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        waits = await self._pending(partition, after + 1, None, min(count, PAGE_LIMIT))
        if not waits:
            return []
        stream = stream_key(self._stage, partition)
        async with self._redis.pipeline(transaction=False) as pipe:
            for offset in waits:
                pipe.execute_command("XRANGE", stream, f"0-{offset}", f"0-{offset}")
            found = await pipe.execute()
        failed = await self._attempts(partition, list(waits))
        return [
            StreamEntry(offset, _record(*page[0]) if page else None, failed[offset], *waits[offset])
            for offset, page in zip(waits, found, strict=True)
        ]

    async def _pending(
        self, partition: int, first: int, last: int | None, count: int
    ) -> dict[int, tuple[str, float, int]]:
        end = "+" if last is None else f"0-{last}"
        stream, group = stream_key(self._stage, partition), self._stage
        try:
            rows: list[Any] = await self._redis.xpending_range(stream, group, f"0-{first}", end, count)
        except ResponseError as exc:
            if str(exc).startswith("NOGROUP"):
                return {}  # the stage has never run, or the stream is gone
            raise
        return {
            offset_of(row["message_id"]): (
                row["consumer"].decode(),
                row["time_since_delivered"] / 1000,
                row["times_delivered"],
            )
            for row in rows
        }

    async def _attempts(self, partition: int, offsets: list[int]) -> dict[int, int]:
        key = attempts_key(self._stage, partition, self._stage)
        counts = await execute(self._redis, "HMGET", key, *(f"0-{offset}" for offset in offsets))
        return {offset: int(count or 0) for offset, count in zip(offsets, counts, strict=True)}


def _record(entry_id: bytes, fields: Any) -> Record:
    flat = [part for pair in fields.items() for part in pair] if isinstance(fields, dict) else fields
    return decode(entry_id, flat)
