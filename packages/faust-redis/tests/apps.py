"""Apps that run in the process of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import faust
from faust.tables import TableManager
from faust.types import AgentT, EventT, StreamT
from mode.utils.times import Seconds, want_seconds
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


def collect_values(app: faust.App, topic: Any) -> list[Any]:
    """Have an agent iterate over the values of a topic; return those it has been given so far."""
    got: list[Any] = []

    @app.agent(topic)
    async def work(stream: StreamT[Any]) -> None:
        async for value in stream:
            got.append(value)

    return got


def collect_events(app: faust.App, topic: Any, note: Callable[[EventT[Any]], Any]) -> list[Any]:
    """Have an agent iterate over the events of a topic; return what it has noted of each so far."""
    got: list[Any] = []

    @app.agent(topic)
    async def work(stream: StreamT[Any]) -> None:
        async for event in stream.events():
            got.append(note(event))

    return got


def answer_doubles(app: faust.App) -> AgentT[Any]:
    """Have an agent, of the topic ``in``, answer with the double of the number that it is asked."""

    @app.agent(app.topic("in", value_type=INT), name="double")
    async def double(stream: StreamT[int]) -> AsyncIterator[int]:
        async for number in stream:
            yield 2 * number

    return double


async def command(client: Redis, *words: str | bytes | int) -> Any:
    """Execute a command of any kind."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


def collecting(app: faust.App, name: str, **declared: Any) -> tuple[Any, list[int]]:
    """Declare a topic of numbers and an agent for it; return the topic and the numbers that it gets."""
    topic = app.topic(name, value_type=INT, **declared)
    got: list[int] = []

    @app.agent(topic)
    async def collect(stream: StreamT[int]) -> None:
        async for number in stream:
            got.append(number)

    return topic, got


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


class PromptTables(TableManager):
    """A table manager that does not wait a second for tables that a task may still declare."""

    async def sleep(self, n: Seconds) -> None:
        await super().sleep(min(want_seconds(n), 0.05))
