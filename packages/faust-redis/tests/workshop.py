"""Workers of one group in the process of a test, with events that take as long as the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import faust
from faust.types import StreamT

from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, running

PARTITIONS = 4
#: Numbers from here on take until the test lets them end.
LONG = 1000


class Workshop:
    """Workers of one group, and the events that they handle.

    Attributes:
        done: For each partition the numbers that were handled, in order, with the worker.
        begun: The long numbers that were begun.
    """

    def __init__(self, make_app: MakeApp) -> None:
        self._make_app = make_app
        self._ends: dict[int, asyncio.Event] = {}
        self.done: dict[int, list[tuple[int, str]]] = {number: [] for number in range(PARTITIONS)}
        self.begun: list[int] = []
        self.sender = self.app("sender")

    def app(self, name: str) -> faust.App:
        """Return a worker that is not started."""
        app = self._make_app(topic_partitions=PARTITIONS, broker_session_timeout=20.0)

        @app.agent(app.topic("numbers", value_type=INT), concurrency=10)
        async def work(stream: StreamT[int]) -> None:
            async for event in stream.events():
                number, partition = cast(int, event.value), event.message.partition
                if number >= LONG:
                    self.begun.append(number)
                    await self._ends.setdefault(number, asyncio.Event()).wait()
                self.done[partition].append((number, name))

        return app

    def end(self, number: int) -> None:
        """Let a long event end."""
        self._ends.setdefault(number, asyncio.Event()).set()

    def end_all(self) -> None:
        for number in self.begun:
            self.end(number)

    async def send(self, partition: int, *numbers: int) -> None:
        topic: Any = self.sender.topic("numbers", value_type=INT)
        for number in numbers:
            await (await topic.send(value=number, partition=partition))

    async def begin_long_events(self) -> None:
        """Have a long event in each partition: number 1000 in partition 0, and so on."""
        for partition in range(PARTITIONS):
            await self.send(partition, LONG + partition)
        await eventually(lambda: len(self.begun) == PARTITIONS, "all long events to be begun")

    def numbers(self, partition: int) -> list[int]:
        return [number for number, _ in self.done[partition]]

    def is_done(self, partition: int, number: int, by: str) -> Callable[[], bool]:
        return lambda: (number, by) in self.done[partition]


def owned(app: faust.App) -> set[int]:
    return {tp.partition for tp in app.consumer.assignment() if tp.topic == "numbers"}


@asynccontextmanager
async def two_workers(workshop: Workshop) -> AsyncIterator[tuple[faust.App, faust.App]]:
    """One worker with a long event in each partition, and a second one that has joined since."""
    one, two = workshop.app("one"), workshop.app("two")
    async with running(one):
        await workshop.begin_long_events()
        async with running(two):
            await eventually(lambda: len(owned(one)) == len(owned(two)) == 2, "two partitions each")
            try:
                yield one, two
            finally:
                workshop.end_all()
