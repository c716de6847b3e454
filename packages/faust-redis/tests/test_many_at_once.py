"""More of everything than a pool has connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetters
from faust_redis.testing import eventually
from tests.apps import MakeApp, is_empty, running, send_all

#: redis-py's pools have 100 connections.
MANY = 120


async def test_a_worker_with_more_changelogs_than_connections_becomes_ready(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(topic_partitions=MANY, stream_recovery_delay=0.0)
    topic = app.topic("in")
    counts: Any = app.Table("counts", default=int)
    done: list[int] = []

    @app.agent(topic)
    async def count(stream: StreamT[int]) -> None:
        async for value in stream:
            counts[value] += 1
            done.append(value)

    async with running(app):
        await send_all(topic, 1, 2, 3)
        await eventually(lambda: sorted(done) == [1, 2, 3], "all values")
    assert "Redis is away" not in caplog.text


@pytest.mark.slow
async def test_events_that_fail_all_at_once_come_again(
    make_app: MakeApp, streams: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    topic = app.topic("in")
    seen: list[int] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            seen.append(event.value)
            if seen.count(event.value) == 1:
                app.consumer.fail(event.message, ValueError("not yet"))  # type: ignore[attr-defined]

    async with running(app):
        for confirmed in [await topic.send(value=number) for number in range(3 * MANY)]:
            await confirmed
        await eventually(lambda: len(seen) == 6 * MANY, "each value to come twice")
        await eventually(is_empty(streams, "in"), "the acks")
    assert "Redis is away" not in caplog.text


async def test_dead_letters_of_more_partitions_than_connections_are_counted(
    make_app: MakeApp, redis_url: str
) -> None:
    app = make_app(topic_partitions=MANY)
    topic = app.topic("in")

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            app.consumer.reject(event.message, ValueError("never"))  # type: ignore[attr-defined]

    async with Redis.from_url(redis_url) as client, running(app):
        await send_all(topic, 1, 2, 3)
        dead = DeadLetters(client)

        async def are_dead() -> bool:
            return await dead.counts(["in"]) == {"in": 3}

        await eventually(are_dead, "three dead letters")
        assert len(await dead.page(["in"])) == 3


async def test_the_first_messages_to_more_topics_than_connections_are_sent_at_once(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    topics = [app.topic(f"out-{number}") for number in range(MANY)]
    await app.maybe_start_producer()

    for confirmed in await asyncio.gather(*(topic.send(value=1) for topic in topics)):
        assert (await confirmed).offset == 1
    await app.producer.stop()
    assert "Redis is away" not in caplog.text


async def test_a_program_that_sends_and_ends_without_a_word_loses_no_more_than_what_waits(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    topic = app.topic("in")
    await app.maybe_start_producer()
    for number in range(6_000):
        await topic.send(value=number)
    sent = await streams.xlen("{in:0}")
    await app.producer.stop()

    assert sent >= 3_500
