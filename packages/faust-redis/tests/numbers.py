"""Sending numbers to the counting program, and what it noted of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import faust
import redis

from faust_redis.testing import eventually, wait_until

#: How many keys the numbers are sent with. Ten of these names leave one of four partitions empty.
KEYS = 20


async def send_numbers(url: str, count: int, *, first: int = 0, keys: int = 10) -> None:
    """Send ``count`` numbers as a program without a worker does, and wait until Redis has them."""
    app = faust.App("sender", broker=url, topic_partitions=4)
    topic = app.topic("numbers", key_type=str)
    await app.maybe_start_producer()
    for number in range(first, first + count):
        await topic.send(key=f"k{number % keys}", value=number)
    await app.producer.flush()
    await app.producer.stop()


def numbers_seen(notes: redis.Redis) -> list[int]:
    """Return the numbers that the agents worked on, in the order they did."""
    seen: list[str] = notes.lrange("seen", 0, -1)  # type: ignore[assignment]
    return [int(entry.split(":")[1]) for entry in seen]


@asynccontextmanager
async def sending(url: str) -> AsyncIterator[list[int]]:
    """Send a number every few milliseconds, until the block ends and Redis has confirmed all."""
    app = faust.App("sender", broker=url, topic_partitions=4)
    topic = app.topic("numbers", key_type=str)
    await app.maybe_start_producer()
    sent: list[int] = []

    async def send() -> None:
        while True:
            await topic.send(key=f"k{len(sent) % KEYS}", value=len(sent))
            sent.append(len(sent))
            await asyncio.sleep(0.005)

    task = asyncio.create_task(send())
    try:
        yield sent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await app.producer.flush()
        await app.producer.stop()


async def more(sent: list[int], count: int = 50) -> None:
    """Wait until so many more numbers were sent."""
    goal = len(sent) + count
    await eventually(lambda: len(sent) >= goal, f"{goal} numbers sent")


def all_seen(notes: redis.Redis, sent: list[int]) -> None:
    wait_until(lambda: set(numbers_seen(notes)) == set(sent), "every number to be worked on", 60)


def in_order(notes: redis.Redis) -> None:
    """Check the order of first sights: what comes again comes late."""
    by_key: dict[int, list[int]] = defaultdict(list)
    for number in dict.fromkeys(numbers_seen(notes)):
        by_key[number % KEYS].append(number)
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
