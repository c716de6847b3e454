"""The most important tests on the oldest and the newest Redis; all other tests run on the one between."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from faust_redis import DeadLetters
from faust_redis.redis.probe import probe, uses
from faust_redis.redis.scripts import EXPIRE_ENTRIES
from faust_redis.redis.servers import server_at
from faust_redis.testing import RedisServer, cluster, eventually, sentinel, wait_until
from tests.compacted_log import INDEX, STREAM, CompactedLog
from tests.groups import try_groups
from tests.numbers import numbers_seen, send_numbers
from tests.redis_versions import VERSIONS, binary_of
from tests.words import FEATURES, send_words
from tests.worker import StartWorker

OTHERS = [version for version in VERSIONS if version != "7.4"]


@pytest.mark.parametrize("server_of_version", list(VERSIONS), indirect=True)
async def test_the_probe_finds_out_what_a_version_can_do(redis_of_version: RedisServer) -> None:
    link = server_at([redis_of_version.url])
    found = await probe(link, "faust:{app}:state")
    await link.aclose()

    used = "offsets by XADD 0-*, takeovers by XCLAIM, acks and trimming by EVALSHA"
    newer = found.release >= (8, 2)
    assert uses(found) == used + ("; has XACKDEL too, not used" if newer else "")
    assert redis_of_version.call("KEYS", "*") == [], "trying has left something behind"


@pytest.mark.parametrize("server_of_version", OTHERS, indirect=True)
async def test_programs_run_while_their_workers_die_their_events_fail_and_their_groups_are_lost(
    redis_of_version: RedisServer, start_worker: StartWorker
) -> None:
    with redis.Redis.from_url(redis_of_version.url, decode_responses=True) as notes:
        notes.sadd("poison", "3")
        first, second = (start_worker(redis_of_version.url, work="0.005", ready=False) for _ in range(2))
        asking = start_worker(redis_of_version.url, program=FEATURES, ready=False)
        for worker in (first, second, asking):
            worker.wait_ready()
        await send_numbers(redis_of_version.url, 200)
        await send_words(redis_of_version.url, *["red"] * 5)
        wait_until(lambda: len(numbers_seen(notes)) > 20 and notes.llen("tried"), "both to be at work")
        wait_until(lambda: notes.hgetall("counts") == {"red": "5"}, "five words to be counted")
        wait_until(lambda: not any(notes.xlen(f"{{words:{p}}}") for p in range(2)), "all to be acked")
        wait_until(lambda: notes.lrange("asked", 0, -1) == ["42"], "an answer")

        for worker in (first, asking):
            worker.signal(signal.SIGKILL)
        start_worker(
            redis_of_version.url, program=FEATURES, ready=False
        )  # it has nothing but what is in Redis
        await send_words(redis_of_version.url, "red")
        others = {number for number in range(200) if number != 3}
        wait_until(lambda: set(numbers_seen(notes)) == others, "the other numbers, those of the dead too")
        wait_until(lambda: notes.hget("counts", "red") == "6", "the count to go on")

        link = server_at([redis_of_version.url])
        dead = DeadLetters(link.commands)
        await eventually(lambda: _letters(dead), "a dead letter")
        wait_until(lambda: not _left(notes), "empty streams")
        for partition in range(4):
            notes.xgroup_destroy(f"{{numbers:{partition}}}", "counting")
        notes.delete("poison")
        (letter,) = await dead.page(["numbers"])
        assert (letter.value, letter.attempts, letter.error) == (b"3", 5, "ValueError: 3 is poison")
        await dead.replay(letter.id)
        await send_numbers(redis_of_version.url, 20, first=200)
        await link.aclose()

        wait_until(lambda: set(numbers_seen(notes)) == set(range(220)), "the groups to be made again")
        wait_until(lambda: not _left(notes), "empty streams again")
        assert second.process.poll() is None


async def _letters(dead: DeadLetters) -> int:
    return (await dead.counts(["numbers"]))["numbers"]


def _left(notes: redis.Redis) -> int:
    return sum(int(notes.xlen(f"{{{topic}:{p}}}")) for topic in ("numbers", "doubled") for p in range(4))


@pytest.mark.parametrize("server_of_version", OTHERS, indirect=True)
def test_trimming_takes_what_no_group_needs_and_nothing_else(redis_of_version: RedisServer) -> None:
    try_groups(redis_of_version.url, examples=15)


@pytest.mark.parametrize("server_of_version", OTHERS, indirect=True)
def test_logs_are_compacted_and_old_tombstones_go(redis_of_version: RedisServer) -> None:
    log = CompactedLog(redis_of_version.url)
    for value in ("1", "2", None):
        log.write("gone", value)
        log.write("kept", value or "3")
    assert log.keys() == ["gone", "kept"]

    assert log.expire(0) == 1
    assert log.keys() == ["kept"]


@pytest.mark.parametrize("server_of_version", OTHERS, indirect=True)
def test_entries_older_than_a_retention_go(redis_of_version: RedisServer) -> None:
    log = CompactedLog(redis_of_version.url)
    old = log.write("old", "1")
    log.write("new", "1", at=int(time.time() * 1000))
    ((_, fields),) = cast(Any, log.client.xrange(STREAM, old, old))
    timestamp = fields["t"]

    assert log.client.eval(EXPIRE_ENTRIES.text, 2, STREAM, INDEX, old, timestamp, "old", old) == 1
    assert log.keys() == ["new"]
    assert log.client.hkeys(INDEX) == ["new"]


@pytest.mark.parametrize("version", OTHERS)
async def test_a_cluster_carries_messages(
    version: str, tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    with cluster(tmp_path, replicas=0, binary=binary_of(version)) as nodes:
        start_worker(nodes.url, notes_url=redis_url)
        await send_numbers(nodes.url, 50)

        wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")
    assert sorted(numbers_seen(notes)) == list(range(50))


@pytest.mark.parametrize("version", OTHERS)
async def test_sentinel_names_the_primary(
    version: str, tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    with sentinel(tmp_path, binary=binary_of(version)) as (url, _):
        start_worker(url, notes_url=redis_url)
        await send_numbers(url, 50)

        wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")
