"""Keys that were deleted from a compacted topic leave nothing behind in the end."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from faust_redis.log.keys import Keys
from faust_redis.redis.scripts import Scripts

KEYS = Keys()

STREAM = KEYS.stream(("log", 0))
INDEX = KEYS.index(("log", 0))
TOMBSTONES = KEYS.tombstones(("log", 0))
AN_HOUR = 3_600_000


class Log:
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
        arguments = ["writer", self.written, 0, 60_000, "", len(fields), *fields]
        offset: Any = self.client.eval(Scripts.text("append"), len(keys), *keys, *arguments)
        return f"0-{offset}"

    def expire(self, kept: int) -> Any:
        """Drop the tombstones that are older than so many milliseconds."""
        keys = [STREAM, INDEX, TOMBSTONES]
        return self.client.eval(Scripts.text("expire_tombstones"), len(keys), *keys, kept, 100)

    def keys(self) -> list[str]:
        """Return the keys of all entries, in order."""
        entries: Any = self.client.xrange(STREAM)
        return [fields["k"] for _, fields in entries]


@pytest.fixture
def log(redis_url: str) -> Log:
    return Log(redis_url)


def test_a_tombstone_goes_when_it_is_old(log: Log) -> None:
    log.write("gone", "1")
    log.write("gone", None)
    log.write("kept", "1")

    assert log.expire(0) == 1
    assert log.keys() == ["kept"]
    assert log.client.hkeys(INDEX) == ["kept"]
    assert not log.client.exists(TOMBSTONES)


def test_a_tombstone_stays_while_a_reader_may_not_have_seen_it(log: Log) -> None:
    log.write("gone", None)
    log.write("kept", "1")

    assert log.expire(AN_HOUR) == 0
    assert log.keys() == ["gone", "kept"]


def test_a_key_that_is_written_again_stays(log: Log) -> None:
    log.write("back", None)
    log.write("back", "2")
    log.write("kept", "1")

    assert log.expire(0) == 0
    assert log.keys() == ["back", "kept"]


def test_the_last_entry_stays_as_it_tells_where_the_log_ends(log: Log) -> None:
    log.write("first", None)
    log.write("last", None)

    assert log.expire(0) == 1
    assert log.keys() == ["last"]

    log.write("kept", "1")
    assert log.expire(0) == 1
    assert log.keys() == ["kept"]


def test_a_log_that_begins_anew_has_no_tombstones_of_the_old_one(log: Log) -> None:
    log.write("gone", None)
    log.client.delete(STREAM)
    log.write("other", "1")
    log.write("gone", "1")

    assert log.expire(0) == 0
    assert log.keys() == ["other", "gone"]
