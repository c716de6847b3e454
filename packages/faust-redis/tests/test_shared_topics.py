"""Several agents on one topic, and actors of isolated partitions: a failure is retried where it happened."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetters, fail, reject
from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, is_empty, running, send_all, subscribe_anew


def two_agents(app: faust.App, **failing: Any) -> tuple[Counter[int], Counter[int]]:
    """Add an agent that counts, and one that fails the number 2; return the deliveries of both."""
    numbers = app.topic("numbers", value_type=INT)
    healthy: Counter[int] = Counter()
    ill: Counter[int] = Counter()

    @app.agent(numbers)
    async def count(stream: StreamT[int]) -> None:
        async for number in stream:
            healthy[number] += 1

    @app.agent(numbers)
    async def stumble(stream: StreamT[int]) -> None:
        async for event in stream.events():
            ill[event.value] += 1
            if event.value == 2:
                failing["by"](event)

    return healthy, ill


def by_raising(_event: Any) -> None:
    raise ValueError("no")


def by_fail(event: Any) -> None:
    fail(event, ValueError("no"))


@pytest.mark.parametrize("by", [by_raising, by_fail])
@pytest.mark.slow
async def test_only_the_agent_that_failed_gets_an_event_again(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis, by: Any
) -> None:
    app = make_app(broker=broker_of_each_path)
    healthy, ill = two_agents(app, by=by)

    async with running(app):
        await send_all(app.topic("numbers"), 1, 2, 3)
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    assert healthy == {1: 1, 2: 1, 3: 1}
    assert ill == {1: 1, 2: 3, 3: 1}
    assert await DeadLetters(streams).counts(["numbers"]) == {"numbers": 1}


async def test_an_event_that_one_agent_rejects_is_a_dead_letter_once_the_other_is_done(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis
) -> None:
    app = make_app(broker=broker_of_each_path)
    healthy, ill = two_agents(app, by=lambda event: reject(event, ValueError("never")))

    async with running(app):
        await send_all(app.topic("numbers"), 1, 2, 3)
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    assert healthy == ill == {1: 1, 2: 1, 3: 1}
    assert await DeadLetters(streams).counts(["numbers"]) == {"numbers": 1}


@pytest.mark.slow
async def test_an_event_that_both_agents_fail_comes_again_to_both(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis
) -> None:
    app = make_app(broker=broker_of_each_path)
    numbers = app.topic("numbers", value_type=INT)
    attempts: Counter[str] = Counter()

    for name in ("first", "second"):

        @app.agent(numbers, name=name)
        async def work(stream: StreamT[int], name: str = name) -> None:
            async for _ in stream:
                attempts[name] += 1
                if attempts[name] == 1:
                    raise ValueError("at first")

    async with running(app):
        await send_all(numbers, 1)
        await eventually(is_empty(streams, "numbers"), "the event to be acked")
    assert attempts == {"first": 2, "second": 2}


@pytest.mark.slow
async def test_a_retry_waits_for_the_other_agent_and_its_ack_is_not_lost(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis
) -> None:
    app = make_app(broker=broker_of_each_path)
    numbers = app.topic("numbers", value_type=INT)
    slow: list[int] = []
    quick: list[int] = []

    @app.agent(numbers)
    async def take_time(stream: StreamT[int]) -> None:
        async for number in stream:
            await app.sleep(1.0)  # until long after the other has failed
            slow.append(number)

    @app.agent(numbers)
    async def stumble(stream: StreamT[int]) -> None:
        async for number in stream:
            quick.append(number)
            if len(quick) == 1:
                raise ValueError("at first")

    async with running(app):
        await send_all(numbers, 1)
        await eventually(lambda: len(quick) == 2, "the second attempt")
        assert slow == [1]
        await eventually(is_empty(streams, "numbers"), "the event to be acked")
    assert slow == [1]


@pytest.mark.slow
async def test_a_batch_that_one_agent_fails_comes_again_to_that_agent_alone(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis
) -> None:
    app = make_app(broker=broker_of_each_path)
    numbers = app.topic("numbers", value_type=INT)
    healthy: Counter[int] = Counter()
    batches: list[list[int]] = []

    @app.agent(numbers)
    async def count(stream: StreamT[int]) -> None:
        async for number in stream:
            healthy[number] += 1

    @app.agent(numbers)
    async def gather(stream: StreamT[int]) -> None:
        async for batch in stream.take(2, within=1.0):
            batches.append(sorted(batch))
            if len(batches) == 1:
                raise ValueError("at first")

    async with running(app):
        await send_all(numbers, 1, 2)
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    assert healthy == {1: 1, 2: 1}
    assert sorted(number for batch in batches[1:] for number in batch) == [1, 2]


@pytest.mark.slow
async def test_a_failed_event_of_an_isolated_partition_ends_as_a_dead_letter_over_a_rebalance(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis
) -> None:
    app = make_app(broker=broker_of_each_path, topic_partitions=2)
    numbers = app.topic("numbers", value_type=INT)
    got: Counter[int] = Counter()

    @app.agent(numbers, isolated_partitions=True)
    async def work(stream: StreamT[int]) -> None:
        async for number in stream:
            got[number] += 1
            if number == 2:
                raise ValueError("no")

    async def send(*values: int) -> None:
        for value in values:
            await (await numbers.send(value=value, partition=0))
            await (await numbers.send(value=value + 10, partition=1))

    async def count_dead() -> bool:
        return await DeadLetters(streams).counts(["numbers"]) == {"numbers": 1}

    async with running(app):
        await send(1, 2, 3)
        await eventually(lambda: got[2] == 2, "the second attempt", 30)
        generation = app.consumer_generation_id
        subscribe_anew(app)
        await eventually(lambda: app.consumer_generation_id != generation, "the next generation", 30)
        await eventually(count_dead, "the dead letter", 30)
        await send(4)
        await eventually(is_empty(streams, "numbers"), "partition 0 to be acked", 30)
        await eventually(lambda: got[14] == 1, "partition 1")
    assert got == {1: 1, 2: 3, 3: 1, 4: 1, 11: 1, 12: 1, 13: 1, 14: 1}


@pytest.mark.parametrize("sharing", [{"concurrency": 4}, {"isolated_partitions": True}], ids=str)
@pytest.mark.slow
async def test_actors_that_raise_at_the_same_moment_all_go_on(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis, sharing: dict[str, Any]
) -> None:
    app = make_app(broker=broker_of_each_path, topic_partitions=4)
    numbers = app.topic("numbers", value_type=INT)
    got: Counter[int] = Counter()
    all_at_work = asyncio.Event()

    @app.agent(numbers, **sharing)
    async def work(stream: StreamT[int]) -> None:
        async for number in stream:
            got[number] += 1
            if len(got) == 4:
                all_at_work.set()
            await all_at_work.wait()
            if got[number] == 1:
                raise ValueError("at first")

    async with running(app):
        for number in range(4):
            await (await numbers.send(value=number, partition=number))
        await eventually(is_empty(streams, "numbers", 4), "all to be acked")
    assert got == dict.fromkeys(range(4), 2)


@pytest.mark.timeout(180)
@pytest.mark.slow
async def test_isolated_partitions_move_to_another_worker_and_back_after_their_agent_has_raised(
    make_app: MakeApp, broker_of_each_path: str, streams: Redis
) -> None:
    got: Counter[int] = Counter()

    def make() -> tuple[faust.App, Any]:
        app = make_app(broker=broker_of_each_path, topic_partitions=2)
        numbers = app.topic("numbers", value_type=INT)

        @app.agent(numbers, isolated_partitions=True)
        async def work(stream: StreamT[int]) -> None:
            async for number in stream:
                got[number] += 1
                if number < 10 and got[number] == 1:
                    raise ValueError("at first")

        return app, numbers

    async def send(topic: Any, *values: int) -> None:
        for value in values:
            await (await topic.send(value=value, partition=value % 2))

    all_acked = is_empty(streams, "numbers", 2)

    first, numbers = make()
    async with running(first):
        await send(numbers, 1, 2)
        await eventually(all_acked, "both to be acked", 60)
        second, _ = make()
        async with running(second):
            await eventually(
                lambda: len(numbers_of(first)) == len(numbers_of(second)) == 1, "a share each", 60
            )
            await send(numbers, 3, 4, 11, 12)
            await eventually(all_acked, "all to be acked", 60)
        await eventually(lambda: len(numbers_of(first)) == 2, "the partition to come back", 60)
        await send(numbers, 5, 6, 13, 14)
        await eventually(all_acked, "all to be acked", 60)
    assert got == {**dict.fromkeys(range(1, 7), 2), **dict.fromkeys(range(11, 15), 1)}


def numbers_of(app: faust.App) -> list[Any]:
    return [tp for tp in app.consumer.assignment() if tp.topic == "numbers"]
