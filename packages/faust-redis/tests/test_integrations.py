"""Faust's parts for other frameworks: ASGI applications, figures of performance, traces."""

from __future__ import annotations

from typing import Any

import faust
import pytest
from aiohttp import ClientConnectionError, ClientSession
from faust.contrib.asgi import faust_lifespan, serve_asgi
from faust.contrib.opentelemetry import setup_opentelemetry
from faust.sensors.metrics import performance_metrics
from faust.types import TP, StreamT
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from faust_redis import Options, configure
from faust_redis.testing import eventually, free_port
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


class SendingPage:
    """An ASGI application that sends a number at each request."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{event}"
                await send({"type": f"lifespan.{event}.complete"})
            return
        await send_all(self.numbers, 5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.mark.parametrize("kind", ["an object", "a function"])
async def test_a_worker_serves_an_asgi_application(make_app: MakeApp, kind: str) -> None:
    app = make_app(web_enabled=True)
    numbers, got = doubling(app)
    port = free_port()
    page = SendingPage(numbers)

    async def function(scope: Any, receive: Any, send: Any) -> None:
        await page(scope, receive, send)

    serve_asgi(app, page if kind == "an object" else function, host="127.0.0.1", port=port)

    async with running(app), ClientSession() as client:

        async def is_served() -> bool:
            try:
                async with client.get(f"http://127.0.0.1:{port}/five") as response:
                    return await response.text() == "/five"
            except ClientConnectionError:
                return False

        await eventually(is_served, "the page")
        await eventually(lambda: got[:1] == [10], "the result")


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


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_trace_goes_on_through_two_agents(
    make_app: MakeApp, exporter: InMemorySpanExporter, fast_path: bool
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    app = make_app()
    configure(app, Options(fast_path=fast_path))
    setup_opentelemetry(app, tracer=tracer)
    numbers, got = doubling(app)

    def ended() -> dict[str, ReadableSpan]:
        return {span.name: span for span in exporter.get_finished_spans()}

    async with running(app):
        with tracer.start_as_current_span("request"):
            await send_all(numbers, 1)
        await eventually(lambda: got == [2], "the result")
        names = {"request", "numbers process", "doubles process"}
        await eventually(lambda: names <= ended().keys(), "the spans")
    request, first, second = (ended()[name] for name in ("request", "numbers process", "doubles process"))
    assert len({span.context.trace_id for span in (request, first, second) if span.context}) == 1
    for child, parent in ((first, request), (second, first)):
        assert child.parent is not None
        assert child.parent.span_id == parent.context.span_id
    attributes = first.attributes or {}
    assert (attributes["messaging.system"], attributes["messaging.redis.message.offset"]) == ("redis", 1)
    assert not any("kafka" in name for name in attributes)


async def test_without_the_sensor_messages_carry_no_trace(
    make_app: MakeApp, exporter: InMemorySpanExporter, streams: Redis
) -> None:
    provider = TracerProvider()
    app = make_app()
    topic = app.topic("plain", value_type=INT)
    await app.maybe_start_producer()
    with provider.get_tracer("tests").start_as_current_span("request"):
        await send_all(topic, 1)
    await app.producer.stop()
    entries: Any = await streams.xrange("{plain:0}")
    assert [b"h" in fields for _, fields in entries] == [False]
