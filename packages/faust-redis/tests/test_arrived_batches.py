"""Agents that read by ``batches``: events that arrived together, each with an end of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetters, attempts_before, batches, fail, reject, set_current_event
from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, is_empty, running, send_all


def gathering(app: faust.App, numbers: Any, first_done: asyncio.Event, limit: int = 32) -> list[list[int]]:
    """Have an agent note its batches; it works on the first one until ``first_done`` is set."""
    got: list[list[int]] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for events in batches(stream, limit):
            got.append([int(event.value) for event in events])
            if len(got) == 1:
                await first_done.wait()

    return got


async def test_what_arrives_while_an_agent_works_is_its_next_batch(make_app: MakeApp, streams: Redis) -> None:
    app, first_done = make_app(), asyncio.Event()
    numbers = app.topic("numbers", value_type=INT)
    got = gathering(app, numbers, first_done)

    async with running(app):
        await send_all(numbers, 1)
        await eventually(lambda: got == [[1]], "the first batch")
        await send_all(numbers, 2, 3, 4)
        await eventually(lambda: in_flight(app) == 4, "all to be read")
        first_done.set()
        await eventually(lambda: got == [[1], [2, 3, 4]], "the others as one batch")
        await eventually(is_empty(streams, "numbers"), "all to be acked")


def in_flight(app: Any) -> int:
    return sum(len(queue.in_flight) for queue in app.consumer.reader.queues.values())


async def test_a_batch_holds_no_more_than_its_limit(make_app: MakeApp, streams: Redis) -> None:
    app, first_done = make_app(), asyncio.Event()
    numbers = app.topic("numbers", value_type=INT)
    got = gathering(app, numbers, first_done, limit=2)

    async with running(app):
        await send_all(numbers, 1)
        await eventually(lambda: got == [[1]], "the first batch")
        await send_all(numbers, 2, 3, 4)
        await eventually(lambda: in_flight(app) == 4, "all to be read")
        first_done.set()
        await eventually(lambda: got == [[1], [2, 3], [4]], "two further batches")
        await eventually(is_empty(streams, "numbers"), "all to be acked")


@pytest.mark.parametrize("fast_path", ["true", "false"])
async def test_one_event_of_a_batch_fails_and_one_is_rejected_while_the_others_are_done(
    make_app: MakeApp, redis_url: str, streams: Redis, fast_path: str
) -> None:
    app = make_app(broker=f"{redis_url}?fast_path={fast_path}&backoff=0.01")
    numbers = app.topic("numbers", value_type=INT)
    got: list[tuple[Any, int]] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for events in batches(stream):
            for event in events:
                got.append((event.value, attempts_before(event)))
                if event.value == 2 and attempts_before(event) < 2:
                    fail(event, ValueError("not yet"))
                if event.value == 3:
                    reject(event, ValueError("never"))

    async with running(app):
        await send_all(numbers, 1, 2, 3, 4)
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    assert sorted(got) == [(1, 0), (2, 0), (2, 1), (2, 2), (3, 0), (4, 0)]
    assert await DeadLetters(streams).counts(["numbers"]) == {"numbers": 1}


async def test_all_events_of_a_batch_come_again_when_their_agent_raises(
    make_app: MakeApp, redis_url: str, streams: Redis
) -> None:
    app = make_app(broker=f"{redis_url}?backoff=0.01")
    numbers = app.topic("numbers", value_type=INT)
    failed: list[Any] = []
    done: list[Any] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for events in batches(stream):
            if any(attempts_before(event) == 0 for event in events):
                failed.extend(event.value for event in events)
                raise LookupError("the batch")
            done.extend(event.value for event in events)

    async with running(app):
        await send_all(numbers, 1, 2, 3)
        await eventually(lambda: sorted(done) == [1, 2, 3], "all events once more")
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    assert sorted(set(failed)) == [1, 2, 3]


async def test_a_worker_that_stops_waits_for_its_batch(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    numbers = app.topic("numbers", value_type=INT)
    begun = asyncio.Event()
    done: list[Any] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for events in batches(stream):
            begun.set()
            await app.sleep(0.5)  # work that goes on while the worker stops
            done.extend(event.value for event in events)

    async with running(app):
        await send_all(numbers, 1)
        await eventually(begun.is_set, "the batch to be begun")
    assert done == [1]
    assert await streams.xlen("{numbers:0}") == 0


async def test_an_event_fails_with_the_message_that_redis_refuses_to_take_for_it(
    make_app: MakeApp, redis_url: str, streams: Redis
) -> None:
    app = make_app(broker=f"{redis_url}?attempts=1")
    numbers, results = app.topic("numbers", value_type=INT), app.topic("results", value_type=INT)
    await streams.set("{results:0}", "no stream")
    refused: list[Any] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for events in batches(stream):
            for event in events:
                set_current_event(event)
                if event.value == 2:
                    refused.append(await results.send(value=event.value, partition=0))
                set_current_event(None)

    async with running(app):
        await send_all(numbers, 1, 2, 3)
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    (dead,) = await DeadLetters(streams).page(["numbers"])
    assert "WRONGTYPE" in dead.error
    assert "WRONGTYPE" in str(refused[0].exception())
