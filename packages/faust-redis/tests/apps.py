"""Apps that run in the process of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import faust
from redis.asyncio import Redis

from faust_redis.testing import eventually

#: What the fixture ``make_app`` returns.
MakeApp = Callable[..., faust.App]
#: The type of numbers in topics, which Faust's own annotations leave out.
INT: Any = int


@asynccontextmanager
async def running(app: faust.App) -> AsyncIterator[None]:
    """Run an app until the block ends."""
    app.finalize()
    await app.start()
    try:
        await eventually(lambda: app.consumer.assignment(), "the partitions")
        yield
    finally:
        await app.stop()


async def send_all(topic: Any, *values: Any) -> None:
    for value in values:
        await (await topic.send(value=value))


def is_empty(streams: Redis, name: str, partitions: int = 1) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        lengths = [await streams.xlen(f"{{{name}:{partition}}}") for partition in range(partitions)]
        return not any(lengths)

    return look


def subscribe_anew(app: faust.App) -> None:
    """Have a worker read one more topic, which begins a new generation of its group after some seconds."""
    topic: Any = app.topic("another").clone(is_iterator=True)
    app.topics.add(topic)
