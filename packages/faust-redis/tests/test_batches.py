"""Agents that read by ``take``, ``through`` and ``group_by``: undecodable events, and batches that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetters
from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, is_empty, running, send_all, subscribe_anew

Read = Callable[[faust.App, StreamT[int]], AsyncIterator[Any]]
#: Longer than any test takes: such a batch is never complete.
LONG = 600


def by_through(app: faust.App, stream: StreamT[int]) -> Any:
    return stream.through(app.topic("next", value_type=INT))


def by_group(app: faust.App, stream: StreamT[int]) -> Any:
    return stream.group_by(str, name="text")


async def by_take(_app: faust.App, stream: StreamT[int]) -> AsyncIterator[int]:
    async for values in stream.take(2, within=0.2):
        for value in values:
            yield value


async def by_take_events(_app: faust.App, stream: Any) -> AsyncIterator[int]:
    async for events in stream.take_events(2, within=0.2):
        for event in events:
            yield event.value


@pytest.mark.parametrize("fast_path", ["true", "false"])
@pytest.mark.parametrize("read", [by_take, by_take_events, by_through, by_group])
async def test_an_undecodable_event_is_a_dead_letter_and_the_agent_reads_on(
    make_app: MakeApp, redis_url: str, streams: Redis, read: Read, fast_path: str
) -> None:
    app = make_app(broker=f"{redis_url}?fast_path={fast_path}")
    numbers = app.topic("numbers", value_type=INT)
    got: list[int] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for value in read(app, stream):
            got.append(value)

    async with running(app):
        await send_all(numbers, 1, 2)
        await (await numbers.send(value=b"{nonsense", value_serializer="raw"))
        await send_all(numbers, 3, 4)
        await eventually(lambda: got == [1, 2, 3, 4], "all others")
        await eventually(is_empty(streams, "numbers"), "all to be acked")
    assert await DeadLetters(streams).counts(["numbers"]) == {"numbers": 1}


async def test_an_error_that_a_program_throws_into_its_channel_still_ends_the_forwarding(
    make_app: MakeApp,
) -> None:
    app = make_app()
    numbers = app.topic("numbers", value_type=INT)
    forwarding: list[Any] = []
    got: list[int] = []
    errors: list[BaseException] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        forwarding.append(stream)
        try:
            async for value in by_through(app, stream):
                got.append(value)
        except LookupError as error:
            errors.append(error)

    async with running(app):
        await send_all(numbers, 1)
        await eventually(lambda: got == [1], "the event")
        await forwarding[0].channel.throw(LookupError("a program's own"))
        await eventually(lambda: bool(errors), "the error")


TAKES: dict[str, Callable[[Any], Any]] = {
    "take": lambda stream: stream.take(100, within=LONG),
    "take_events": lambda stream: stream.take_events(100, within=LONG),
    "take_with_timestamp": lambda stream: stream.take_with_timestamp(100, LONG, "at"),
    "noack_take": lambda stream: stream.noack_take(100, within=LONG),
}


@pytest.mark.parametrize("fast_path", ["true", "false"])
@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
async def test_a_worker_stops_at_once_with_a_part_of_a_batch_which_stays_pending(
    make_app: MakeApp, redis_url: str, streams: Redis, take: Callable[[Any], Any], fast_path: str
) -> None:
    app = make_app(broker=f"{redis_url}?fast_path={fast_path}")
    rows = app.topic("rows", value_type=INT)

    @app.agent(rows)
    async def store(stream: StreamT[int]) -> None:
        async for _ in take(stream):
            raise AssertionError("the batch is not complete")

    async with running(app):
        await send_all(rows, 1, 2, 3)
        await eventually(lambda: len(app.consumer.unacked) == 3, "the events to be in the batch")
        begun = monotonic()
    assert monotonic() - begun < 30  # seconds; the rebalance time-out is 60
    pending = await streams.xpending("{rows:0}", "streams")
    assert pending["pending"] == 3


@pytest.mark.parametrize("fast_path", ["true", "false"])
@pytest.mark.slow
async def test_a_part_of_a_batch_comes_once_after_a_rebalance(
    make_app: MakeApp, redis_url: str, streams: Redis, fast_path: str
) -> None:
    app = make_app(broker=f"{redis_url}?fast_path={fast_path}")
    rows = app.topic("rows", value_type=INT)
    batches: list[list[int]] = []

    @app.agent(rows)
    async def store(stream: StreamT[int]) -> None:
        async for batch in stream.take(3, within=LONG):
            batches.append(list(batch))

    async with running(app):
        await send_all(rows, 1, 2)
        await eventually(lambda: len(app.consumer.unacked) == 2, "the events to be in the batch")
        generation = app.consumer_generation_id
        begun = monotonic()
        subscribe_anew(app)
        await eventually(lambda: app.consumer_generation_id != generation, "the next generation", 45)
        assert monotonic() - begun < 45  # seconds; the rebalance time-out is 60
        await send_all(rows, 3)
        await eventually(lambda: bool(batches), "the batch")
        await eventually(is_empty(streams, "rows"), "all to be acked")
    assert batches == [[1, 2, 3]]


async def test_a_batch_that_the_agent_works_on_is_waited_for(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    rows = app.topic("rows", value_type=INT)
    done: list[list[int]] = []
    begun: list[bool] = []

    @app.agent(rows)
    async def store(stream: StreamT[int]) -> None:
        async for batch in stream.take(2, within=LONG):
            begun.append(True)
            await app.sleep(1.0)  # work that goes on while the worker stops
            done.append(list(batch))

    async with running(app):
        await send_all(rows, 1, 2)
        await eventually(lambda: bool(begun), "the batch to be begun")
    assert done == [[1, 2]]
    assert await streams.xlen("{rows:0}") == 0
