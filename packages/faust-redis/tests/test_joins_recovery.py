"""Joins whose workers stop, die, and share their partitions out again."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any, cast

import faust
import redis

from faust_redis.testing import wait_for_group, wait_until
from tests.worker import StartWorker

PROGRAM = "tests.programs.joining"
KEYS = range(24)


async def send(url: str, topic: str, keys: Iterable[int]) -> None:
    """Send one value for each key."""
    app = faust.App("sender", broker=url)
    await app.maybe_start_producer()
    for key in keys:
        await app.topic(topic, key_type=cast(Any, str), value_type=cast(Any, str)).send(
            key=f"k{key}", value=f"{topic}{key}"
        )
    await app.producer.stop()


def pairs(notes: redis.Redis) -> list[str]:
    return sorted(cast(list[str], notes.lrange("pairs", 0, -1)))


def wait_pairs(notes: redis.Redis, keys: Iterable[int]) -> None:
    """Wait for a pair of each key, and for no pair twice."""
    expected = sorted(f"left{key} right{key}" for key in keys)
    wait_until(lambda: len(pairs(notes)) >= len(expected), f"{len(expected)} pairs")
    assert pairs(notes) == expected


def is_acked(notes: redis.Redis, topic: str) -> bool:
    return not any(notes.xlen(f"{{{topic}:{partition}}}") for partition in range(4))


async def test_pairs_are_complete_and_made_once_through_a_rebalance_and_a_kill(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    first = start_worker(redis_url, program=PROGRAM)
    await send(redis_url, "left", KEYS)
    wait_until(lambda: is_acked(notes, "left"), "the buffer to hold one side")

    start_worker(redis_url, program=PROGRAM)
    wait_for_group(redis_url, "joining", 2)
    await send(redis_url, "right", KEYS[:8])
    wait_pairs(notes, KEYS[:8])
    wait_until(lambda: is_acked(notes, "right"), "the acks")

    first.signal(signal.SIGKILL)
    await send(redis_url, "right", KEYS[8:])
    wait_pairs(notes, KEYS)


async def test_an_event_is_yielded_alone_by_the_worker_that_comes_after_its_own(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    first = start_worker(redis_url, program=PROGRAM, within="2")
    await send(redis_url, "left", KEYS[:4])
    wait_until(lambda: is_acked(notes, "left"), "the buffer to hold one side")
    first.signal(signal.SIGKILL)

    start_worker(redis_url, program=PROGRAM, within="2")
    expected = [f"left{key} None" for key in KEYS[:4]]
    wait_until(lambda: len(pairs(notes)) >= len(expected), "the results")
    assert pairs(notes) == expected
    left = "{joining-joining.pair-left-right-join-changelog:0}"
    wait_until(
        lambda: not [e for _, e in cast(Any, notes.xrange(left)) if "v" in e], "the buffer to be empty"
    )


def test_topics_with_different_numbers_of_partitions_are_refused_by_name(
    redis_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(redis_url, program=PROGRAM, ready=False, right_partitions="3")

    assert worker.process.wait(timeout=20) != 0
    assert "left has 4, right has 3" in worker.printed()
