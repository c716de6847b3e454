"""Workers that join and stop: partitions that stay are read on, others move when their events are done."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import cast

from faust.types import TP
from redis.asyncio import Redis

from faust_redis.consuming.consumer import Consumer
from faust_redis.log.keys import Keys
from faust_redis.testing import eventually
from tests.apps import running
from tests.workshop import LONG, PARTITIONS, Workshop, owned, two_workers

KEYS = Keys()


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
        await eventually(
            lambda: all(len(workshop.done[p]) == 2 for p in range(PARTITIONS)), "the long events"
        )


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
