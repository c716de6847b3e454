"""What Redis may do to a running program: every message is worked on all the same, and nobody spins.

The streams live on a server of the test's own; what the workers saw is noted on another.
"""

from __future__ import annotations

import asyncio

import faust
import pytest
import redis

from faust_redis.testing import HOST, RedisServer, wait_until
from tests.numbers import all_seen, in_order, more, numbers_seen, send_numbers, sending
from tests.worker import StartWorker, Worker

SESSION_TIMEOUT = 3


def generation(server: RedisServer) -> str:
    return str(server.call("HGET", "faust:{counting}:state", "generation"))


def quiet(worker: Worker) -> None:
    """Check that an outage of seconds is not a flood of complaints."""
    complaints = [line for line in worker.printed().splitlines() if "Redis is away" in line]
    assert len(complaints) < 100, complaints[-5:]
    assert "Traceback" not in worker.printed()


async def test_connections_that_are_killed_again_and_again(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    worker = start_worker(breakable_redis.url, notes_url=redis_url)
    async with sending(breakable_redis.url) as sent:
        for _ in range(15):
            await more(sent, 10)
            breakable_redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    all_seen(notes, sent)
    quiet(worker)


@pytest.mark.parametrize("seconds", [SESSION_TIMEOUT - 1, SESSION_TIMEOUT + 2])
async def test_a_server_that_hangs(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str, seconds: int
) -> None:
    worker = start_worker(breakable_redis.url, notes_url=redis_url, session_timeout=str(SESSION_TIMEOUT))
    start_worker(breakable_redis.url, notes_url=redis_url, session_timeout=str(SESSION_TIMEOUT))
    async with sending(breakable_redis.url) as sent:
        await more(sent)
        before = generation(breakable_redis)
        await asyncio.to_thread(breakable_redis.call, "DEBUG", "SLEEP", seconds)
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    quiet(worker)
    assert generation(breakable_redis) == before, "a server that hangs for all is no worker that died"


async def test_memory_that_is_full_for_a_while(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    worker = start_worker(breakable_redis.url, notes_url=redis_url)
    async with sending(breakable_redis.url) as sent:
        await more(sent)
        breakable_redis.call("CONFIG", "SET", "maxmemory", "1")
        await more(sent)
        breakable_redis.call("CONFIG", "SET", "maxmemory", "0")
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    quiet(worker)
    assert sorted(numbers_seen(notes)) == sent, "what was refused and sent again came twice"


async def test_workers_that_start_when_memory_is_full_work_off_what_fills_it(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    app = faust.App("sender", broker=breakable_redis.url, topic_partitions=4)
    backlog = app.topic("doubled", key_type=str)
    await app.maybe_start_producer()
    for number in range(200):
        await backlog.send(key=f"k{number % 10}", value=number)
    await app.producer.flush()
    await app.producer.stop()
    breakable_redis.call("CONFIG", "SET", "maxmemory", "1")
    start_worker(breakable_redis.url, notes_url=redis_url)

    wait_until(lambda: notes.llen("doubled") == 200, "every number to be worked on")
    wait_until(
        lambda: not any(breakable_redis.call("XLEN", f"{{doubled:{p}}}") for p in range(4)), "empty streams"
    )


async def test_a_primary_that_is_a_replica_for_a_while(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    worker = start_worker(breakable_redis.url, notes_url=redis_url)
    async with sending(breakable_redis.url) as sent:
        await more(sent)
        breakable_redis.call("REPLICAOF", HOST, 1)
        await more(sent)
        breakable_redis.call("REPLICAOF", "NO", "ONE")
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    quiet(worker)


async def test_a_server_that_lost_its_data_is_said_to_have_lost_it(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    worker = start_worker(breakable_redis.url, notes_url=redis_url)
    await send_numbers(breakable_redis.url, 20)
    wait_until(lambda: notes.llen("doubled") == 20, "20 numbers")

    breakable_redis.kill()
    breakable_redis.start()
    await send_numbers(breakable_redis.url, 20, first=20)

    wait_until(lambda: set(numbers_seen(notes)) == set(range(40)), "20 more numbers")
    wait_until(lambda: "is gone in Redis" in worker.printed(), "a word on what was lost")


async def test_scripts_that_are_forgotten_are_loaded_again(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    start_worker(breakable_redis.url, notes_url=redis_url)
    async with sending(breakable_redis.url) as sent:
        for _ in range(40):
            await more(sent, 2)
            breakable_redis.call("SCRIPT", "FLUSH")

    all_seen(notes, sent)


async def test_a_handler_that_blocks_the_loop_for_less_than_the_session_timeout_causes_no_rebalance(
    breakable_redis: RedisServer, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    for _ in range(2):
        start_worker(
            breakable_redis.url, notes_url=redis_url, session_timeout=str(2 * SESSION_TIMEOUT), block="4"
        )
    before = generation(breakable_redis)
    await send_numbers(breakable_redis.url, 4)

    wait_until(lambda: notes.llen("doubled") == 4, "4 numbers", 60)
    assert generation(breakable_redis) == before
    assert sorted(numbers_seen(notes)) == list(range(4))
