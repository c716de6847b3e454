"""An agent that takes many times the session time-out keeps its partition, and its event stays its own."""

from __future__ import annotations

import os
import signal

import pytest
import redis

from faust_redis.testing import wait_until
from tests.numbers import send_numbers
from tests.worker import StartWorker

#: Seconds; the event takes several times as long.
SESSION_TIMEOUT = "2"
WORK = "8"


async def test_an_event_that_takes_many_session_timeouts_is_delivered_once_and_moves_no_partition(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    for _ in range(2):
        start_worker(redis_url, session_timeout=SESSION_TIMEOUT, work=WORK)
    wait_until(lambda: notes.hlen("faust:{counting}:plan") == 2, "two members")
    generation = notes.hget("faust:{counting}:state", "generation")
    await send_numbers(redis_url, 2)

    wait_until(lambda: notes.llen("doubled") == 2, "both numbers", 60)

    assert len(notes.lrange("seen", 0, -1)) == 2
    assert notes.hget("faust:{counting}:state", "generation") == generation
    assert not notes.keys("dead:*")


def _pending(notes: redis.Redis) -> int:
    found = (notes.xpending(f"{{numbers:{partition}}}", "counting") for partition in range(4))
    return sum(each["pending"] for each in found)


@pytest.mark.skipif("LONG_HANDLERS_SLOW" not in os.environ, reason="takes half a minute")
@pytest.mark.timeout(180)
async def test_a_long_event_is_delivered_once_though_other_workers_join_stop_and_die_meanwhile(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    settings = {"session_timeout": SESSION_TIMEOUT, "work": "20"}
    start_worker(redis_url, **settings)
    await send_numbers(redis_url, 1)
    wait_until(lambda: _pending(notes), "the event")
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        other = start_worker(redis_url, **settings)
        wait_until(lambda: notes.hlen("faust:{counting}:plan") == 2, "two members")
        other.signal(end)
        wait_until(lambda: notes.hlen("faust:{counting}:plan") == 1, "one member")

    wait_until(lambda: notes.llen("doubled") == 1, "the number", 60)

    assert len(notes.lrange("seen", 0, -1)) == 1
    assert not notes.keys("dead:*")
