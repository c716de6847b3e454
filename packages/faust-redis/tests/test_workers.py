"""The guarantees for a Faust program while its workers start, stop, fail and freeze."""

from __future__ import annotations

import signal
from collections import defaultdict
from typing import cast

import redis

from faust_redis.testing import RedisServer, wait_until
from tests.numbers import numbers_seen, send_numbers
from tests.worker import StartWorker, Worker


def stream_lengths(notes: redis.Redis) -> dict[str, int]:
    return {
        f"{topic}-{p}": int(notes.xlen(f"{{{topic}:{p}}}"))
        for topic in ("numbers", "doubled")
        for p in range(4)
    }


async def two_at_work(
    url: str, start_worker: StartWorker, notes: redis.Redis, count: int, **settings: str
) -> Worker:
    """Send so many numbers to two workers; return the first of these once both are at work."""
    first = start_worker(url, **settings)
    start_worker(url, **settings)
    await send_numbers(url, count)
    wait_until(lambda: len(numbers_seen(notes)) > 20, "both to be at work")
    return first


async def test_every_message_is_worked_on_once_and_in_the_order_of_its_key(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url)
    await send_numbers(redis_url, 500)
    wait_until(lambda: notes.llen("doubled") == 500, "500 numbers to travel through two agents")

    by_key: dict[int, list[int]] = defaultdict(list)
    for number in numbers_seen(notes):
        by_key[number % 10].append(number)
    assert sorted(numbers_seen(notes)) == list(range(500))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


async def test_messages_sent_before_any_worker_runs_are_not_lost(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    await send_numbers(redis_url, 20)
    start_worker(redis_url)

    wait_until(lambda: notes.llen("doubled") == 20, "20 numbers sent before the start")


async def test_streams_are_emptied_as_messages_are_acked(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url)
    await send_numbers(redis_url, 100)

    wait_until(lambda: notes.llen("doubled") == 100, "100 numbers")
    wait_until(lambda: not any(stream_lengths(notes).values()), "empty streams")


async def test_an_event_whose_agent_raises_comes_again_and_ends_as_a_dead_letter(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    notes.sadd("poison", "3")
    worker = start_worker(redis_url)
    await send_numbers(redis_url, 10)

    dead = wait_until(lambda: [k for k in notes.scan_iter("dead:*") if notes.xlen(k)], "a dead letter", 60)
    letters = cast(list[tuple[str, dict[str, str]]], notes.xrange(dead[0]))
    ((_, letter),) = letters
    assert letter["error"] == "ValueError: 3 is poison"
    assert letter["attempts"] == "5"
    assert letter["v"] == "3"
    assert notes.llen("tried") == 5, worker.printed()
    wait_until(lambda: notes.llen("doubled") == 9, "the other numbers")
    wait_until(lambda: not any(stream_lengths(notes).values()), "empty streams")


async def test_an_event_that_failed_once_is_worked_on_when_it_comes_again(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    notes.sadd("poison", "3")
    start_worker(redis_url)
    await send_numbers(redis_url, 5)
    wait_until(lambda: notes.llen("tried"), "a first attempt")
    notes.delete("poison")

    wait_until(lambda: notes.llen("doubled") == 5, "all numbers")
    assert sorted(numbers_seen(notes)) == [0, 1, 2, 3, 4]


async def test_a_killed_worker_loses_nothing(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    first = await two_at_work(redis_url, start_worker, notes, 400, work="0.005")

    first.signal(signal.SIGKILL)
    wait_until(lambda: set(numbers_seen(notes)) == set(range(400)), "every number")
    wait_until(lambda: not any(stream_lengths(notes).values()), "nothing left pending")


async def test_a_stopped_worker_hands_over_at_once_and_nothing_is_done_twice(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    first = await two_at_work(redis_url, start_worker, notes, 400, session_timeout="120", work="0.002")

    first.signal(signal.SIGTERM)
    first.process.wait(45)
    wait_until(lambda: len(numbers_seen(notes)) >= 400, "every number, long before the session time-out", 60)
    assert sorted(numbers_seen(notes)) == list(range(400))


def test_a_worker_that_is_stopped_during_a_rebalance_ends_without_an_error(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    stopped = start_worker(redis_url, session_timeout="120")
    frozen = start_worker(redis_url, session_timeout="120")
    frozen.signal(signal.SIGSTOP)  # holds up the rebalance that the third one causes
    before = notes.hvals("faust:{counting}:released")
    start_worker(redis_url, session_timeout="120", ready=False)

    def released() -> bool:
        generations = notes.hvals("faust:{counting}:released")
        newest = max(generations, default="")
        return newest not in before and generations.count(newest) == 2

    wait_until(released, "the first and the third to have given up their partitions")

    stopped.signal(signal.SIGTERM)
    assert stopped.process.wait(45) == 0, stopped.printed()
    assert "Traceback" not in stopped.printed()


async def test_workers_share_the_partitions(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    workers = [start_worker(redis_url) for _ in range(4)]
    await send_numbers(redis_url, 300, keys=50)
    wait_until(lambda: notes.llen("doubled") == 300, "300 numbers")

    entries: list[str] = notes.lrange("seen", 0, -1)  # type: ignore[assignment]
    assert {int(entry.split(":")[2]) for entry in entries} == {worker.pid for worker in workers}
    assert sorted(numbers_seen(notes)) == list(range(300))


async def test_more_workers_than_partitions_leave_nobody_hanging(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    for _ in range(6):
        start_worker(redis_url, ready=False)
    await send_numbers(redis_url, 100)

    wait_until(lambda: notes.llen("doubled") == 100, "100 numbers", 60)


async def test_a_frozen_worker_loses_its_partitions_and_comes_back_without_harm(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    frozen = await two_at_work(redis_url, start_worker, notes, 200, work="0.005")

    frozen.signal(signal.SIGSTOP)
    wait_until(lambda: set(numbers_seen(notes)) == set(range(200)), "the other to take over")
    frozen.signal(signal.SIGCONT)
    await send_numbers(redis_url, 200, first=200)
    wait_until(lambda: set(numbers_seen(notes)) == set(range(400)), "both to go on")
    wait_until(lambda: not any(stream_lengths(notes).values()), "nothing left pending")


async def test_what_was_read_by_one_who_no_longer_owns_the_partition_comes_to_its_owner(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url)
    streams = [f"{{numbers:{partition}}}" for partition in range(4)]
    # A worker makes the group of a partition when it claims it, which may be after it is ready.
    wait_until(lambda: notes.exists(*streams) == 4, "the groups")
    with notes.pipeline() as together:
        for partition, stream in enumerate(streams):
            together.xadd(stream, {"t": 1_700_000_000_000, "v": partition, "k": "key"}, id="0-*")
            together.xreadgroup("counting", "put-out", {stream: ">"})
        together.execute()

    wait_until(lambda: sorted(numbers_seen(notes)) == [0, 1, 2, 3], "what another has read")
    wait_until(lambda: not any(stream_lengths(notes).values()), "empty streams")


async def test_workers_go_on_by_themselves_after_a_restart_of_redis(
    own_redis: RedisServer, start_worker: StartWorker
) -> None:
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as notes:
        notes.config_set("appendfsync", "always")
        start_worker(own_redis.url)
        await send_numbers(own_redis.url, 50)
        wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")

        assert own_redis.process is not None
        own_redis.process.kill()
        own_redis.process.wait()
        own_redis.spawn()
        own_redis.wait_ready()
        await send_numbers(own_redis.url, 50, first=50)
        wait_until(lambda: set(numbers_seen(notes)) == set(range(100)), "50 more after the restart")


async def test_workers_go_on_by_themselves_after_redis_lost_all_data(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url)
    await send_numbers(redis_url, 50)
    wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")

    notes.flushall()
    await send_numbers(redis_url, 50)
    wait_until(lambda: notes.llen("doubled") == 50, "50 numbers after FLUSHALL")


async def test_two_apps_read_the_same_topic_each_in_full(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url, app="one")
    start_worker(redis_url, app="two")
    await send_numbers(redis_url, 50)

    wait_until(lambda: len(numbers_seen(notes)) == 100, "both apps to see all 50")
    assert sorted(numbers_seen(notes)) == sorted([*range(50), *range(50)])


async def test_a_worker_that_disagrees_on_partitions_stops_with_an_error(
    redis_url: str, start_worker: StartWorker
) -> None:
    await send_numbers(redis_url, 1)
    worker = start_worker(redis_url, partitions="6", ready=False)

    assert worker.process.wait(30) != 0
    assert "topic 'numbers' has partitions=4 in Redis, this worker declares 6" in worker.printed()


async def test_what_cannot_be_decoded_is_a_dead_letter_and_the_rest_goes_on(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url)
    await send_numbers(redis_url, 10)
    wait_until(lambda: notes.llen("doubled") == 10, "10 numbers")
    notes.xadd("{numbers:0}", {"v": "{no json", "k": '"k1"', "t": "1"}, id="0-*")
    await send_numbers(redis_url, 10, first=10)

    wait_until(lambda: notes.llen("doubled") == 20, "what came after it")
    letters = wait_until(lambda: notes.xrange("dead:{numbers:0}"), "the dead letter")
    ((_, fields),) = cast("list[tuple[str, dict[str, str]]]", letters)
    assert (fields["v"], fields["attempts"]) == ("{no json", "1")
    assert fields["error"].startswith("ValueDecodeError")


async def test_a_key_that_is_no_text_where_it_should_be_is_a_dead_letter(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    notes.xadd("{numbers:0}", {"t": "1", "v": "7", "k": b"\xff"}, id="0-*")
    start_worker(redis_url)
    await send_numbers(redis_url, 10)

    wait_until(lambda: notes.llen("doubled") == 10, "what came after it")
    with redis.Redis.from_url(redis_url) as client:
        letters = wait_until(lambda: client.xrange("dead:{numbers:0}"), "the dead letter")
    ((_, fields),) = cast("list[tuple[bytes, dict[bytes, bytes]]]", letters)
    assert (fields[b"k"], fields[b"attempts"]) == (b"\xff", b"1")
    assert fields[b"error"].startswith(b"KeyDecodeError")
