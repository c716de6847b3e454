"""How topics are declared: what readers rely on is in force, and a contradiction is refused."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any, cast

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import TopicMismatchError, TopicNameError
from faust_redis.log.topics import TopicFacts, TopicRegistry, check_name
from faust_redis.testing import eventually
from tests.apps import MakeApp, running, send_all

Declaration = dict[str, Any]


SILENT: Declaration = {}


@pytest.mark.parametrize(
    ("wishes", "in_force"),
    [
        ([SILENT, {"retention": 3_600_000}], TopicFacts(1, 3_600_000, False)),
        ([{"retention": 1_000}, {"retention": 2_000}], TopicFacts(1, 2_000, False)),
        ([SILENT, {"compacting": True}], TopicFacts(1, 0, True)),
        ([SILENT, {"compacting": False}], TopicFacts(1, 0, False)),
        ([{"retention": 1_000}, {"compacting": True}], TopicFacts(1, 1_000, True)),
        ([{"retention": 1_000, "compacting": True}, {"retention": 2_000}], TopicFacts(1, 2_000, True)),
    ],
)
async def test_the_stronger_declaration_is_in_force_whoever_comes_first(
    registries: list[TopicRegistry], wishes: list[Declaration], in_force: TopicFacts
) -> None:
    for number, order in enumerate(itertools.permutations(wishes)):
        for registry, wish in zip(registries, order, strict=True):
            await registry.declare(f"topic-{number}", 1, **wish)
        for registry in registries:
            await registry.refresh()
            assert registry.known(f"topic-{number}") == in_force


@pytest.mark.parametrize("first", [True, False])
async def test_compacting_is_refused_by_name_where_another_reader_forbids_it(
    registries: list[TopicRegistry], first: bool
) -> None:
    await registries[0].declare("prices", 1, compacting=first)

    with pytest.raises(TopicMismatchError, match="compacting") as refused:
        await registries[1].declare("prices", 1, compacting=not first)

    assert (refused.value.topic, refused.value.recorded, refused.value.wanted) == ("prices", first, not first)


async def test_a_change_is_named_in_the_log(
    registries: list[TopicRegistry], caplog: pytest.LogCaptureFixture
) -> None:
    await registries[0].declare("prices", 1)
    await registries[1].declare("prices", 1, retention=3_600_000)

    await registries[0].refresh()

    assert "topic prices: another program has declared it with retention=3600 s" in caplog.text


@pytest.mark.slow
async def test_a_program_that_only_sends_does_not_void_a_readers_retention(
    streams: Redis, redis_url: str, tmp_path: Path
) -> None:
    sender = faust.App("sender", broker=redis_url, topic_partitions=1)
    await sender.maybe_start_producer()
    await send_all(sender.topic("prices"), 1, 2, 3)
    await sender.producer.stop()

    for reader in "first", "second":
        app = faust.App(
            reader,
            broker=redis_url,
            topic_partitions=1,
            broker_session_timeout=3.0,
            web_enabled=False,
            datadir=tmp_path,
        )
        got: list[int] = []
        prices = app.topic("prices", value_type=cast(Any, int), retention=3600.0)

        @app.agent(prices)
        async def see(stream: StreamT[int], got: list[int] = got) -> None:
            async for price in stream:
                got.append(price)

        async with running(app):
            await eventually(partial(list.__eq__, got, [1, 2, 3]), f"all prices in {reader}")
    assert await streams.xlen("{prices:0}") == 3


async def test_a_sender_that_runs_already_follows_a_reader_that_compacts(
    registries: list[TopicRegistry],
) -> None:
    sender, reader = registries
    assert not (await sender.facts("prices")).compacting
    partitions = (await sender.facts("prices")).partitions

    await reader.declare("prices", partitions, compacting=True)
    await sender.refresh()

    assert (await sender.facts("prices")).compacting


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "größe", "a b", "a:b", "{a}", "a\n", "a" * 250])
def test_a_name_that_kafka_refuses_is_refused(name: str) -> None:
    with pytest.raises(TopicNameError, match="topic name"):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "A.b_c-9",
        "a" * 249,
        "shop-__assignor-__leader",
        "app-tests.programs.work.<locals>.agent-in-key-repartition",
        "f-reply-0a1b2c3d-0000-4000-8000-0123456789ab",
    ],
)
def test_names_of_kafka_and_of_faust_are_taken(name: str) -> None:
    check_name(name)


async def test_a_send_to_a_topic_with_a_wrong_name_raises_with_the_name(redis_url: str) -> None:
    app = faust.App("sender", broker=redis_url)
    await app.maybe_start_producer()
    try:
        with pytest.raises(TopicNameError, match="'a/b'"):
            await app.topic("a/b").send(value=1)
    finally:
        await app.producer.stop()


def with_tables(app: faust.App, *tables: int | None) -> tuple[Any, Any]:
    """Add tables with these partitions, and an agent that adds to the first; return topic and table."""
    readings = app.topic("readings", value_type=cast(Any, int))
    made = [app.Table(f"table{at}", default=int, partitions=count) for at, count in enumerate(tables)]

    @app.agent(readings)
    async def add(stream: StreamT[int]) -> None:
        async for number in stream:
            made[0]["all"] += number

    return readings, made[0]


async def test_a_topic_that_declares_no_partitions_has_those_of_the_tables(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app(topic_partitions=8)
    readings, totals = with_tables(app, 3, 3)
    app.GlobalTable("everywhere", partitions=1)

    async with running(app):
        await send_all(readings, 1, 2)
        await eventually(lambda: totals["all"] == 3, "the sum")
    assert await streams.hget("faust:topic:readings", "partitions") == b"3"


async def test_tables_that_differ_from_a_topic_are_named_before_its_first_event(
    make_app: MakeApp, streams: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(topic_partitions=4)
    with_tables(app, 1, None)

    async with running(app):
        assert "topic readings has 4 partitions and declares none, table table0 has 1" in caplog.text
    assert "table1" not in caplog.text
    assert await streams.hget("faust:topic:readings", "partitions") == b"4"


async def test_a_topic_that_a_sender_has_made_keeps_its_partitions_and_the_table_is_named(
    make_app: MakeApp, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    sender = faust.App("sender", broker=redis_url, topic_partitions=4)
    await sender.maybe_start_producer()
    await send_all(sender.topic("readings"), 1)
    await sender.producer.stop()

    app = make_app(topic_partitions=4)
    with_tables(app, 1)
    async with running(app):
        assert "topic readings has 4 partitions and declares none, table table0 has 1" in caplog.text


async def test_the_topic_of_an_agent_without_one_keeps_the_default_of_the_app(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app(topic_partitions=4)
    app.Table("totals", default=int, partitions=1)

    @app.agent(name="inner")
    async def work(stream: StreamT[int]) -> None:
        async for _ in stream:
            pass

    async with running(app):
        assert await streams.hget("faust:topic:streams-inner", "partitions") == b"4"
