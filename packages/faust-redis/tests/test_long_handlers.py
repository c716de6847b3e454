"""An agent that takes many times the session time-out keeps its partition, and its event stays its own."""

from __future__ import annotations

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
