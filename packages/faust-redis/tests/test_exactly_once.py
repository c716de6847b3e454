"""``processing_guarantee="exactly_once"``: an event's ack, outputs and changes of tables are one step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

import faust_redis
from faust_redis import UnsupportedSettingError
from faust_redis.testing import RedisServer, eventually
from faust_redis.watching import discover
from tests.apps import INT, MakeApp, running, send_all
from tests.conformance.exactly import exact_trial
from tests.cutting import CuttingRelay

OUT = "{out:0}"


async def xrange(streams: Redis, stream: str) -> Any:
    return await streams.xrange(stream)


def values_in(streams: Redis, stream: str = OUT) -> Callable[[], Any]:
    async def values() -> list[bytes]:
        return [fields[b"v"] for _, fields in await xrange(streams, stream)]

    return values


def kept(app: faust.App, name: str = "out") -> Any:
    """Return a topic that keeps its entries, so that a test can read all of them."""
    return app.topic(name, value_type=INT, retention=3600.0)


async def test_an_operator_sees_which_topics_it_writes(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    orders, out = app.topic("orders", value_type=INT), kept(app)

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for order in stream:
            await out.send(value=order)

    async def is_known() -> bool:
        topology = await discover(streams)
        return "out" in topology.written_by(app.conf.id)

    async with running(app):
        await send_all(orders, 7)
        await eventually(is_known, "the output topic")


async def test_outputs_and_changes_of_tables_come_with_the_ack(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    orders, out = app.topic("orders", value_type=INT), kept(app)
    counts: Any = app.Table("counts", default=int)
    begun, finish = asyncio.Event(), asyncio.Event()

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for order in stream:
            counts["all"] += order
            metadata = await (await out.send(value=order))
            assert metadata.offset == -1
            begun.set()
            await finish.wait()

    async with running(app):
        await send_all(orders, 7)
        await begun.wait()
        await app.producer.flush()
        assert not await streams.xlen(OUT)
        assert not await streams.xlen("{streams-counts-changelog:0}")
        finish.set()
        await eventually(values_in(streams), "the output")
        assert (await streams.xpending("{orders:0}", "streams"))["pending"] == 0
        assert await values_in(streams, "{streams-counts-changelog:0}")() == [b"7"]


@pytest.mark.slow
async def test_an_attempt_that_fails_leaves_nothing_behind(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    orders, out = app.topic("orders", value_type=INT), kept(app)
    seen: Any = app.Table("seen", default=list)
    tried: list[int] = []

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for order in stream:
            tried.append(order)
            orders_seen = seen["all"]
            orders_seen.append(order)  # in place, which no copy of the former value outlives
            seen["all"] = orders_seen
            await out.send(value=order)
            if order == 2 and tried.count(2) < 3:
                raise ValueError("not yet")

    async with running(app):
        await send_all(orders, 1, 2, 3)
        await eventually(lambda: tried.count(2) == 3, "three attempts")
        await eventually(lambda: _has(streams, OUT, 3), "the outputs")
        assert sorted(await values_in(streams)()) == [b"1", b"2", b"3"]
        assert sorted(seen["all"]) == [1, 2, 3]
        assert (await values_in(streams, "{streams-seen-changelog:0}")())[-1] == b"[1,3,2]"


async def _has(streams: Redis, stream: str, count: int) -> bool:
    return bool(await streams.xlen(stream) >= count)


async def test_what_was_built_on_a_change_that_failed_is_done_again(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    first, second, out = app.topic("first", value_type=INT), app.topic("second", value_type=INT), kept(app)
    counts: Any = app.Table("counts", default=int)
    changed, go_on = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []

    @app.agent(first)
    async def fail_late(stream: StreamT[int]) -> None:
        async for value in stream:
            attempts.append(value)
            counts["all"] += value
            if len(attempts) == 1:
                changed.set()
                await go_on.wait()
                raise ValueError("after another one has built on it")

    @app.agent(second)
    async def build(stream: StreamT[int]) -> None:
        async for value in stream:
            counts["all"] += value
            await out.send(value=counts["all"])
            go_on.set()

    async with running(app):
        await send_all(first, 100)
        await changed.wait()
        await send_all(second, 1)
        await eventually(lambda: _has(streams, OUT, 1), "the output")
        await eventually(lambda: len(attempts) == 2, "the other event again")
        await eventually(lambda: counts["all"] == 101, "both")
        await eventually(
            lambda: _last(streams, "{streams-counts-changelog:0}", b"101"), "the sum in the changelog"
        )
    assert len(await values_in(streams)()) == 1


async def _last(streams: Redis, stream: str, value: bytes) -> bool:
    entries: Any = await streams.xrevrange(stream, count=1)
    return bool(entries and entries[0][1][b"v"] == value)


@pytest.mark.slow
async def test_a_commit_whose_answer_is_cut_off_is_not_done_twice(
    shared_redis: RedisServer, streams: Redis, make_exact: Callable[..., faust.App]
) -> None:
    chosen = random.Random(3)
    async with CuttingRelay(shared_redis.port) as relay:
        app = make_exact(broker=relay.url)
        orders, out = app.topic("orders", value_type=INT), kept(app)
        counts: Any = app.Table("counts", default=int)

        @app.agent(orders)
        async def work(stream: StreamT[int]) -> None:
            async for order in stream:
                counts["all"] += 1
                await out.send(value=order)

        async with running(app):
            relay.should_cut = lambda _piece: relay.cuts < 30 and chosen.random() < 0.2
            number = 0
            while relay.cuts < 30:
                await orders.send(value=(number := number + 1))
                await asyncio.sleep(0.02)  # the load
            await eventually(lambda: _has(streams, OUT, number), "all outputs")
            assert counts["all"] == number
            await eventually(
                lambda: _last(streams, "{streams-counts-changelog:0}", b"%d" % number), "the changelog"
            )
        assert sorted(map(int, await values_in(streams)())) == list(range(1, number + 1))


async def test_an_event_whose_outputs_are_refused_ends_as_a_dead_letter_and_the_others_go_on(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    faust_redis.configure(app, faust_redis.Options(attempts=2, backoff=(0.05,)))
    orders, out, broken = app.topic("orders", value_type=INT), kept(app), kept(app, "broken")
    counts: Any = app.Table("counts", default=int)
    await streams.set("{broken:0}", "no stream")

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for order in stream:
            counts["all"] += 1
            await out.send(value=order)
            if order == 2:
                await broken.send(value=order)

    async with running(app):
        await send_all(orders, 1, 2, 3, 4)
        await eventually(lambda: _has(streams, "dead:{orders:0}", 1), "the dead letter")
        await eventually(lambda: _has(streams, OUT, 3), "the outputs of the others")
        assert sorted(await values_in(streams)()) == [b"1", b"3", b"4"]
        assert counts["all"] == 3
    ((_, letter),) = await xrange(streams, "dead:{orders:0}")
    assert letter[b"v"] == b"2"
    assert b"{broken:0} is a string" in letter[b"error"]


async def test_a_take_batch_is_one_step(make_exact: Callable[..., faust.App], streams: Redis) -> None:
    app = make_exact()
    orders, out = app.topic("orders", value_type=INT), kept(app)
    batches: list[list[int]] = []
    finish = asyncio.Event()

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for batch in stream.take(3, within=5.0):
            batches.append(list(batch))
            await out.send(value=sum(batch))
            await finish.wait()

    async with running(app):
        await send_all(orders, 1, 2, 3)
        await eventually(lambda: batches, "a batch")
        await app.producer.flush()
        assert not await streams.xlen(OUT)
        finish.set()
        await eventually(lambda: _has(streams, OUT, 1), "its output")
        assert (await streams.xpending("{orders:0}", "streams"))["pending"] == 0
    assert await values_in(streams)() == [b"6"]


@pytest.mark.slow
async def test_all_agents_get_an_event_again_that_one_of_them_failed(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    orders, out = app.topic("orders", value_type=INT), kept(app)
    runs: list[str] = []

    @app.agent(orders)
    async def healthy(stream: StreamT[int]) -> None:
        async for order in stream:
            runs.append("healthy")
            await out.send(value=order)

    @app.agent(orders)
    async def failing(stream: StreamT[int]) -> None:
        async for _ in stream:
            runs.append("failing")
            if runs.count("failing") == 1:
                raise ValueError("once")

    async with running(app):
        await send_all(orders, 1)
        await eventually(lambda: _has(streams, OUT, 1), "the output")
        await eventually(lambda: _all_acked(streams), "the ack")
    assert runs.count("healthy") == 2
    assert await values_in(streams)() == [b"1"]


async def _all_acked(streams: Redis) -> bool:
    return bool((await streams.xpending("{orders:0}", "streams"))["pending"] == 0)


async def test_what_a_callback_sends_before_a_dead_letter_is_not_dropped(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    faust_redis.configure(app, faust_redis.Options(attempts=1))
    orders, out = app.topic("orders", value_type=INT), kept(app)

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for order in stream:
            await out.send(value=order)
            raise ValueError("always")

    async def answer(_message: Any, _error: BaseException) -> None:
        await out.send(value=-1)

    faust_redis.on_dead_letter(app, answer)
    async with running(app):
        await send_all(orders, 1)
        await eventually(lambda: _has(streams, "dead:{orders:0}", 1), "the dead letter")
    assert await values_in(streams)() == [b"-1"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"broker": "redis+cluster://localhost"}, "several slots of a cluster"),
        ({"stream_publish_on_commit": True}, "stream_publish_on_commit"),
    ],
)
def test_what_can_not_be_done_exactly_once_is_refused_by_name(
    make_app: MakeApp, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnsupportedSettingError, match=named):
        _ = make_app(processing_guarantee="exactly_once", **settings).transport


async def test_a_table_of_sets_is_refused_by_name(make_exact: Callable[..., faust.App]) -> None:
    app = make_exact()
    app.SetTable("friends")

    with pytest.raises(UnsupportedSettingError, match="friends holds sets"):
        await app.consumer.subscribe(["orders"])


async def test_a_question_within_an_event_is_refused_by_name_instead_of_waiting_for_ever(
    make_exact: Callable[..., faust.App],
) -> None:
    app = make_exact()
    refused: list[Exception] = []

    @app.agent(app.topic("doubles", value_type=INT))
    async def double(stream: StreamT[int]) -> AsyncIterator[int]:
        async for number in stream:
            yield 2 * number

    @app.agent(app.topic("orders", value_type=INT))
    async def work(stream: StreamT[int]) -> None:
        async for order in stream:
            try:
                await double.ask(order)
            except UnsupportedSettingError as error:
                refused.append(error)

    async with running(app):
        assert await double.ask(2) == 4
        await send_all(app.topic("orders", value_type=INT), 7)
        await eventually(lambda: refused, "the error")
    assert "ask() and map()" in str(refused[0])


@pytest.mark.slow
async def test_each_event_has_one_effect_under_random_faults(tmp_path: Path) -> None:
    effects = await exact_trial(random.randrange(2**32), 4, tmp_path, workers=2)

    assert effects.good, effects
