"""Faust's parts for other frameworks: an ASGI lifespan, figures of performance."""

from __future__ import annotations

from typing import Any

import faust
from faust.contrib.asgi import faust_lifespan
from faust.sensors.metrics import performance_metrics
from faust.types import TP, StreamT
from redis.asyncio import Redis

from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, is_empty, running, send_all


def doubling(app: faust.App) -> tuple[Any, list[int]]:
    """Add an agent that sends the double of each number on to a second one; return topic and results."""
    numbers = app.topic("numbers", value_type=INT)
    doubles = app.topic("doubles", value_type=INT)
    got: list[int] = []

    @app.agent(numbers)
    async def double(stream: StreamT[int]) -> None:
        async for number in stream:
            await doubles.send(value=2 * number)

    @app.agent(doubles)
    async def collect(stream: StreamT[int]) -> None:
        async for number in stream:
            got.append(number)

    return numbers, got


async def test_a_lifespan_runs_the_app_within_an_asgi_server(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    numbers, got = doubling(app)

    async with faust_lifespan(app)():
        await eventually(lambda: app.consumer.assignment(), "the partitions")
        await send_all(numbers, 1)
        await eventually(lambda: got == [2], "the result")
    assert await streams.hlen("faust:group:streams:members") == 0


async def test_the_figures_hold_committed_offsets_and_lag(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    numbers, got = doubling(app)

    async with running(app):
        await send_all(numbers, 1, 2, 3)
        await eventually(lambda: len(got) == 3, "the results")
        await eventually(is_empty(streams, "numbers"), "all to be acked")
        await eventually(lambda: app.monitor.tp_committed_offsets.get(TP("numbers", 0)) == 4, "the commit")
        consumer = performance_metrics(app)["consumer"]
    assert consumer["committed_offsets"]["numbers"] == {0: 4}
    # As on Kafka, Faust compares the next offset with the last one read.
    assert consumer["lag_by_partition"]["numbers"] == {0: 1}
