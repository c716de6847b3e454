"""Whatever groups do, in any order: what one of them has not acked is never trimmed, and the rest goes."""

from __future__ import annotations

import asyncio

import faust
import pytest
import redis as redis_py
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis.log.keys import Keys
from faust_redis.redis.scripts import ACK, MORE, TRIMMED_AT_ONCE
from faust_redis.testing import RedisServer, eventually
from tests.apps import INT, MakeApp, is_empty, running, send_all
from tests.groups import try_groups


def test_trimming_never_takes_what_a_group_still_needs(shared_redis: RedisServer) -> None:
    try_groups(shared_redis.url, examples=60)


def test_a_call_trims_a_bounded_number_of_entries(shared_redis: RedisServer) -> None:
    client = redis_py.Redis.from_url(shared_redis.url)
    tp, count = ("backlog", 0), 2 * TRIMMED_AT_ONCE + 50
    keys = [Keys().stream(tp), Keys().lease(tp, "group"), Keys().attempts(tp, "group")]
    client.delete(*keys)
    client.set(keys[1], "1:worker")
    client.xgroup_create(keys[0], "group", "0", mkstream=True)
    with client.pipeline(transaction=False) as pipeline:
        for _ in range(count):
            pipeline.xadd(keys[0], {"v": "x"}, id="0-*")
        pipeline.execute()
    client.xreadgroup("group", "worker", {keys[0]: ">"}, count=count)
    client.xack(keys[0], "group", *(f"0-{offset}" for offset in range(2, count + 1)))

    _, _, *command = ACK.command(keys, "0-1", group="group", lease="1:worker", trimming=1)
    lengths: list[int] = []
    replies: list[int] = []
    while not replies or replies[-1] == MORE:
        replies.append(client.execute_command("EVAL", ACK.text, *command))  # type: ignore[no-untyped-call]
        lengths.append(client.xlen(keys[0]))

    trimmed = [before - after for before, after in zip([count, *lengths], lengths, strict=False)]
    assert replies == [MORE, MORE, 0]
    assert max(trimmed) <= TRIMMED_AT_ONCE
    assert lengths[-1] == 0


@pytest.mark.parametrize("count", [TRIMMED_AT_ONCE + 100])
async def test_all_that_was_acked_behind_a_slow_event_is_trimmed_with_it(
    make_app: MakeApp, streams: Redis, count: int
) -> None:
    app: faust.App = make_app()
    numbers = app.topic("numbers", value_type=INT)
    is_free = asyncio.Event()
    others: list[int] = []

    @app.agent(numbers, concurrency=2)
    async def receive(stream: StreamT[int]) -> None:
        async for number in stream:
            if number:
                others.append(number)
            else:
                await is_free.wait()

    async with running(app):
        await send_all(numbers, *range(count))
        await eventually(lambda: len(others) == count - 1, "the other events")
        assert await streams.xlen("{numbers:0}") == count
        is_free.set()
        await eventually(is_empty(streams, "numbers"), "the partition to be trimmed")
