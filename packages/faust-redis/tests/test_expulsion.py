"""The parent of a process that has ended removes its worker from the group."""

from __future__ import annotations

import asyncio
import signal
from typing import cast

import redis
from redis.asyncio import Redis

from faust_redis import expel
from faust_redis.testing import eventually
from tests.numbers import all_seen, more, sending
from tests.test_membership import working
from tests.worker import StartWorker


async def test_the_partitions_of_a_dead_worker_have_an_owner_long_before_its_session_times_out(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    dead = start_worker(redis_url, session_timeout="60")
    other = await asyncio.to_thread(start_worker, redis_url, session_timeout="60")
    async with Redis.from_url(redis_url) as client, sending(redis_url) as sent:
        await eventually(lambda: len(working(notes)) == 2, "both to be at work")
        dead.signal(signal.SIGKILL)
        group = await group_of(client)
        assert await expel(client, group, 1) == 0
        await eventually(lambda: dead.process.poll() is not None, "the worker to be dead")
        assert await expel(client, group, dead.pid) == 1
        assert await expel(client, group, dead.pid) == 0
        await more(sent)
        await eventually(
            lambda: working(notes, 20) == {other.pid}, "the other to do all the work", timeout=20
        )

    all_seen(notes, sent)


async def group_of(client: Redis) -> str:
    """Return the id of the workers' app."""
    (key,) = await client.keys("faust:{*}:members")
    return str(cast("bytes", key).decode().partition("{")[2].partition("}")[0])
