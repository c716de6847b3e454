"""What Faust's documentation promises for agents, on Redis."""

from __future__ import annotations

from typing import Any, cast

import pytest
import redis

from tests.support.waiting import wait_until
from tests.transport.conftest import StartWorker

PROGRAM = "tests.transport.programs.features"


@pytest.mark.parametrize(
    ("name", "answers"), [("asked", ["42"]), ("mapped", ["2", "4", "6"]), ("joined", ["8", "10", "12"])]
)
def test_an_agent_answers_who_asks_it(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis, name: str, answers: list[str]
) -> None:
    start_worker(redis_url, program=PROGRAM)

    def seen() -> Any:
        return notes.lrange(name, 0, -1) == answers

    wait_until(seen, f"the answers {answers}")


def test_a_batch_whose_agent_raises_comes_again(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    notes.sadd("poison", "batch")
    start_worker(redis_url, program=PROGRAM)

    def batched() -> bool:
        return sorted(cast(list[str], notes.lrange("batched", 0, -1))) == ["0", "1", "2"]

    wait_until(batched, "the batch to be worked on, once")
