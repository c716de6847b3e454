"""Drop entries that are older than their topic's retention.

Entries are in the order they were added, so a scan ends at the first young one. The time at which that will
be old is stored, and no scan is needed before then. The scans are commands, not a script, and their
pages are bounded by bytes: Redis does nothing else while a script runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Final, NamedTuple

from faust.types import TP

from faust_redis.context import TransportContext
from faust_redis.log.entries import Entry, key_and_time
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.commands import execute
from faust_redis.redis.scripts import EXPIRE_ENTRIES, SERVER_TIME

__all__ = ["Retention"]

#: Maximum bytes that one scan may return.
PAGE_BYTES: Final = 1024 * 1024
#: Maximum seconds until the next scan of a partition, because others may have deleted entries from it.
LONGEST_REST: Final = 60.0


class _Cut(NamedTuple):
    """A page of entries, divided at its first young entry.

    Attributes:
        old: The entries to drop; one with an unreadable timestamp is dropped with the old ones after it.
        rest_ms: Milliseconds until the young entry is old; ``None`` if there is none.
        is_readable: Whether the page has any timestamp that can be read.
    """

    old: list[Entry]
    rest_ms: int | None
    is_readable: bool


class Retention:
    """Expires the partitions of one worker."""

    def __init__(self, context: TransportContext) -> None:
        self._context = context
        self._due: dict[TP, float] = {}

    async def expire(self, tps: Iterable[TP]) -> None:
        """Drop entries that are older than the retention of their topic, page by page.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        owned = set(tps)
        for tp in self._due.keys() - owned:
            del self._due[tp]
        for tp in owned:
            facts = self._context.topics.known(tp.topic)
            if facts is not None and facts.retention and self._due.get(tp, 0.0) <= monotonic():
                await self._expire(tp, facts)

    async def _expire(self, tp: TP, facts: TopicFacts) -> None:
        context = self._context
        now = int(await context.scripts.call(SERVER_TIME, [context.keys.stream(tp)]))
        count, largest = 1, context.options.retention_page
        while True:
            command = ("XRANGE", context.keys.stream(tp), "-", "+", "COUNT", count)
            entries: list[Entry] = await execute(context.redis, *command)
            cut = _cut(entries, now - facts.retention)
            is_full = len(entries) == count
            # A page with unreadable times would never be dropped, and neither would the entries after it.
            old = entries if not cut.is_readable and is_full and count >= largest else cut.old
            is_dropped = not old or await self._drop(tp, old, facts)
            if cut.rest_ms is not None or not is_full or not is_dropped:
                rest = facts.retention if cut.rest_ms is None else cut.rest_ms
                self._due[tp] = monotonic() + min(LONGEST_REST, rest / 1000)
                return
            size = sum(len(part) for _, fields in entries for part in fields)
            largest = min(context.options.retention_page, max(1, PAGE_BYTES * count // max(1, size)))
            count = min(largest, 4 * count)

    async def _drop(self, tp: TP, old: list[Entry], facts: TopicFacts) -> bool:
        """Drop the first entries of a partition; return whether they were still there."""
        last_id, last_fields = old[-1]
        pairs: list[bytes] = []
        if facts.compacting:
            for entry_id, fields in old:
                key, _ = key_and_time(fields)
                pairs += (key, entry_id) if key is not None else ()
        _, timestamp = key_and_time(last_fields)
        keys = [self._context.keys.stream(tp), self._context.keys.index(tp)]
        dropped = await self._context.scripts.call(
            EXPIRE_ENTRIES, keys, *pairs, last_id=last_id, sent_at=timestamp or b""
        )
        return bool(dropped)


def _cut(entries: list[Entry], limit: int) -> _Cut:
    """Divide a page; entries added by ``limit`` (milliseconds since the epoch) are old."""
    certain = 0
    is_readable = False
    for at, (_, fields) in enumerate(entries):
        _, text = key_and_time(fields)
        try:
            added = int(text or b"")
        except ValueError:
            continue
        is_readable = True
        if added > limit:
            return _Cut(entries[:certain], added - limit, is_readable)
        certain = at + 1
    return _Cut(entries[:certain], None, is_readable)
