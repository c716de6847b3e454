"""What Faust's documentation promises for agents, on Redis."""

from __future__ import annotations

import signal
from typing import Any, cast

import faust
import pytest
import redis

from faust_redis.testing import wait_until
from tests.words import FEATURES, send_words
from tests.worker import StartWorker


@pytest.mark.parametrize(
    ("name", "answers"), [("asked", ["42"]), ("mapped", ["2", "4", "6"]), ("joined", ["8", "10", "12"])]
)
def test_an_agent_answers_who_asks_it(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis, name: str, answers: list[str]
) -> None:
    start_worker(redis_url, program=FEATURES)

    def seen() -> Any:
        return notes.lrange(name, 0, -1) == answers

    wait_until(seen, f"the answers {answers}")


def test_a_batch_whose_agent_raises_comes_again(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    notes.sadd("poison", "batch")
    start_worker(redis_url, program=FEATURES)

    def batched() -> bool:
        return sorted(cast(list[str], notes.lrange("batched", 0, -1))) == ["0", "1", "2"]

    wait_until(batched, "the batch to be worked on, once")


async def test_a_table_is_recovered_after_a_kill(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    first = start_worker(redis_url, program=FEATURES)
    await send_words(redis_url, *["red"] * 5, *["blue"] * 3)
    wait_until(lambda: notes.hgetall("counts") == {"red": "5", "blue": "3"}, "eight words to be counted")
    wait_until(lambda: sum(notes.xlen(f"{{words:{p}}}") for p in range(2)) == 0, "all to be acked")
    first.signal(signal.SIGKILL)

    start_worker(redis_url, program=FEATURES)
    await send_words(redis_url, "red", "blue")
    wait_until(lambda: notes.hgetall("counts") == {"red": "6", "blue": "4"}, "the counts to go on")


async def test_a_changelog_keeps_the_last_value_of_each_key(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url, program=FEATURES)
    await send_words(redis_url, *["red"] * 20, *["blue"] * 20)
    wait_until(lambda: notes.hgetall("counts") == {"red": "20", "blue": "20"}, "forty words to be counted")

    def kept() -> int:
        return sum(notes.xlen(f"{{features-counts-changelog:{p}}}") for p in range(2))

    wait_until(lambda: kept() == 2, "one entry per key in the changelog")


async def test_a_stream_with_a_retention_expires_when_nobody_writes_to_it(
    redis_url: str, notes: redis.Redis
) -> None:
    app = faust.App("sender", broker=redis_url, topic_partitions=1)
    topic = app.topic("kept-a-while", retention=120.0)
    await topic.maybe_declare()
    await topic.send(value=1)
    await app.producer.stop()

    assert 0 < notes.pttl("{kept-a-while:0}") <= 120_000
