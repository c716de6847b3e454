"""A partition of a compacted topic, in the hands of a test."""

from __future__ import annotations

from typing import Any

import redis

from faust_redis.log.keys import Keys
from faust_redis.redis.scripts import APPEND, EXPIRE_TOMBSTONES

KEYS = Keys()

STREAM = KEYS.stream(("log", 0))
INDEX = KEYS.index(("log", 0))
TOMBSTONES = KEYS.tombstones(("log", 0))


class CompactedLog:
    """One compacted partition."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.written = 0

    def write(self, key: str, value: str | None, at: int = 1) -> str:
        """Add an entry with a timestamp, ms, and return its id; None is a tombstone."""
        fields = ["t", str(at), *(() if value is None else ("v", value)), "k", key]
        self.written += 1
        partition = ("log", 0)
        keys = [STREAM, KEYS.producers(partition), INDEX, KEYS.lease(partition, "app"), TOMBSTONES]
        arguments = ["writer", self.written, 0, 0, 60_000, "", len(fields), *fields]
        offset: Any = self.client.eval(APPEND.text, len(keys), *keys, *arguments)
        return f"0-{offset}"

    def expire(self, kept: int) -> Any:
        """Drop the tombstones that are older than so many milliseconds."""
        keys = [STREAM, INDEX, TOMBSTONES]
        return self.client.eval(EXPIRE_TOMBSTONES.text, len(keys), *keys, kept, 100)

    def keys(self) -> list[str]:
        """Return the keys of all entries, in order."""
        entries: Any = self.client.xrange(STREAM)
        return [fields["k"] for _, fields in entries]
