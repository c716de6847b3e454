"""Workers that join and stop: partitions that stay are read on, and others move as soon as their events are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import faust
import pytest
from faust.types import TP, StreamT
from redis.asyncio import Redis

from faust_redis.consuming.consumer import Consumer
from faust_redis.log.keys import Keys
from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, running

PARTITIONS = 4
KEYS = Keys()
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


@pytest.fixture
async def workshop(make_app: MakeApp) -> AsyncIterator[Workshop]:
    """Workers of one group; long events end with the test."""
    shop = Workshop(make_app)
    await shop.sender.maybe_start_producer()
    yield shop
    await shop.sender.producer.stop()


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


async def test_partitions_that_stay_are_read_on_while_long_events_run_and_a_worker_joins(
    workshop: Workshop,
) -> None:
    async with two_workers(workshop) as (one, _):
        for partition in owned(one):
            await workshop.send(partition, 1)
            await eventually(workshop.is_done(partition, 1, by="one"), "an event of a partition that stays")
        assert workshop.numbers(min(owned(one))) == [1]


async def test_a_partition_moves_as_soon_as_its_own_events_are_done(workshop: Workshop) -> None:
    async with two_workers(workshop) as (_, two):
        first, other = sorted(owned(two))
        await workshop.send(first, 1, 2)
        await workshop.send(other, 1, 2)
        workshop.end(LONG + first)

        await eventually(workshop.is_done(first, 2, by="two"), "the first partition to move")
        assert workshop.done[first] == [(LONG + first, "one"), (1, "two"), (2, "two")]
        assert workshop.done[other] == []

        workshop.end(LONG + other)
        await eventually(workshop.is_done(other, 2, by="two"), "the other partition to move")
        assert workshop.numbers(other) == [LONG + other, 1, 2]


async def test_a_worker_that_stops_hands_over_the_partitions_without_long_events_at_once(
    workshop: Workshop,
) -> None:
    one, two = workshop.app("one"), workshop.app("two")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(one))
        await stack.enter_async_context(running(two))
        await eventually(lambda: len(owned(one)) == len(owned(two)) == 2, "two partitions each")
        busy, idle = sorted(owned(one))
        await workshop.send(busy, LONG, 1)
        await eventually(lambda: workshop.begun == [LONG], "the long event to be begun")

        stopping = asyncio.create_task(one.stop())
        await workshop.send(idle, 1)
        await eventually(workshop.is_done(idle, 1, by="two"), "the idle partition to move")
        assert not stopping.done()
        assert workshop.done[busy] in ([], [(1, "one")])

        workshop.end(LONG)
        await stopping
        await eventually(lambda: sorted(workshop.numbers(busy)) == [1, LONG], "the busy partition to move")


async def test_events_that_a_worker_has_buffered_move_with_their_partition_and_are_handled_once(
    workshop: Workshop,
) -> None:
    async with two_workers(workshop) as (_, two):
        for partition in range(PARTITIONS):
            await workshop.send(partition, *range(50))
        workshop.end_all()

        await eventually(lambda: all(len(workshop.done[p]) == 51 for p in range(PARTITIONS)), "all events")
        for partition in owned(two):
            assert workshop.done[partition][1:] == [(number, "two") for number in range(50)]


async def test_a_partition_that_comes_back_before_it_has_left_is_read_on(workshop: Workshop) -> None:
    one = workshop.app("one")
    async with running(one):
        await workshop.begin_long_events()
        async with running(workshop.app("two")):
            await eventually(lambda: len(owned(one)) == 2, "two partitions to leave")
        await eventually(lambda: len(owned(one)) == PARTITIONS, "all partitions to be back")
        for partition in range(PARTITIONS):
            await workshop.send(partition, 1)
            await eventually(workshop.is_done(partition, 1, by="one"), "an event of each partition")
        workshop.end_all()
        await eventually(lambda: all(len(workshop.done[p]) == 2 for p in range(PARTITIONS)), "the long events")


async def test_all_partitions_are_given_up_while_a_member_of_an_earlier_version_is_in_the_group(
    workshop: Workshop, streams: Redis
) -> None:
    one, two = workshop.app("one"), workshop.app("two")
    async with running(one):
        consumer = cast(Consumer, one.consumer)
        generation = one.consumer_generation_id
        await streams.srem(KEYS.group("streams").cooperative, consumer.member_id)
        async with running(two):
            await eventually(lambda: len(owned(one)) == len(owned(two)) == 2, "two partitions each")
            assert one.consumer_generation_id > generation


async def test_a_lease_of_a_member_that_is_gone_is_replaced_at_once(
    workshop: Workshop, streams: Redis
) -> None:
    for partition in range(PARTITIONS):
        await streams.set(KEYS.lease(TP("numbers", partition), "streams"), "1:gone")
    async with running(workshop.app("one")):
        await workshop.send(0, 1)
        await eventually(workshop.is_done(0, 1, by="one"), "the event", 5)
