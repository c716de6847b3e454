"""A message whose confirmation is lost is added once; IDEMPOTENCE_SLOW=1 cuts 1,000 connections."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import faust
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from faust_redis.log.entries import decode
from faust_redis.log.keys import Keys
from faust_redis.producing.appends import PRODUCER_KEPT
from faust_redis.redis import execute
from faust_redis.redis.scripts import APPEND
from faust_redis.testing import RedisServer
from tests.apps import command
from tests.cutting import CuttingRelay

CUTS = 1_000 if os.environ.get("IDEMPOTENCE_SLOW") else 60
PARTITIONS = 3
KEYS = Keys()
STREAM, PRODUCERS = KEYS.stream(("orders", 0)), KEYS.producers(("orders", 0))


async def held(redis: Redis, topic: str) -> dict[tuple[int, int], bytes | None]:
    """Return the value of each entry by partition and offset."""
    found: dict[tuple[int, int], bytes | None] = {}
    for partition in range(PARTITIONS):
        for entry_id, fields in await execute(redis, "XRANGE", f"{{{topic}:{partition}}}", "-", "+"):
            record = decode(entry_id, fields if isinstance(fields, list) else _flat(fields))
            found[partition, record.offset] = record.value
    return found


def _flat(fields: dict[bytes, bytes]) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]


@pytest.mark.timeout(400 if CUTS > 100 else 60)
@pytest.mark.slow
async def test_no_entry_is_added_twice_or_lost_when_replies_are_cut_off(
    shared_redis: RedisServer, streams: Redis, tmp_path: Path
) -> None:
    chosen = random.Random(CUTS)
    async with CuttingRelay(shared_redis.port) as relay:
        app = faust.App("sender", broker=relay.url, topic_partitions=PARTITIONS, datadir=tmp_path)
        topic: Any = app.topic("orders", value_serializer="raw")
        table: Any = app.topic("compacted", value_serializer="raw", compacting=True)
        await app.maybe_start_producer()
        await table.declare()
        await (await topic.send(value=b"first"))
        await (await table.send(key=b"first", value=b"first"))
        relay.should_cut = lambda _piece: relay.cuts < CUTS and chosen.random() < 0.3
        sent: list[tuple[Any, bytes]] = []
        while relay.cuts < CUTS:
            for number in range(chosen.randrange(1, 8)):
                value = b"%d-%d" % (len(sent), number)
                sent.append((await topic.send(value=value), value))
                await table.send(key=b"key-%d" % chosen.randrange(50), value=value)
            await asyncio.sleep(0)
            await app.producer.flush()
        confirmed = [(await future, value) for future, value in sent]
        await app.producer.stop()

    found = await held(streams, "orders")
    assert Counter(found.values()) == Counter([b"first", *(value for _, value in sent)])
    assert all(found[metadata.partition, metadata.offset] == value for metadata, value in confirmed)
    index = [await streams.hlen(KEYS.index(("compacted", partition))) for partition in range(PARTITIONS)]
    assert len(await held(streams, "compacted")) == sum(index)


async def append(
    redis: Redis, number: int, *values: bytes, previous: int = 0, continues: int = 0, producer: str = "p"
) -> Any:
    fields = [part for value in values for part in (b"t", b"1", b"v", value)]
    fixed = (producer, number, previous, continues, PRODUCER_KEPT, "", 4)
    return await execute(redis, "EVAL", APPEND.text, 2, STREAM, PRODUCERS, *fixed, *fields)


async def test_a_call_that_comes_again_returns_the_same_offsets(streams: Redis) -> None:
    assert await append(streams, 1, b"a", b"b") == 1
    assert await append(streams, 1, b"x", producer="another") == 3

    assert await append(streams, 1, b"a", b"b") == [1, 2]
    assert await streams.xlen(STREAM) == 3


async def test_the_rest_of_a_call_that_comes_again_with_more_is_added(streams: Redis) -> None:
    await append(streams, 1, b"a", b"b")
    await append(streams, 1, b"x", producer="another")

    assert await append(streams, 1, b"a", b"b", b"c") == [1, 2, 4]
    assert await append(streams, 1, b"a", b"b", b"c") == [1, 2, 4]
    assert await append(streams, 4, b"d") == 5


async def test_all_calls_of_the_last_batch_can_come_again(streams: Redis) -> None:
    await append(streams, 1, b"a")
    await append(streams, 2, b"b", continues=1)
    await append(streams, 3, b"c", continues=1)

    assert await append(streams, 1, b"a", b"b", b"c") == [1, 2, 3]


async def test_a_call_of_an_earlier_batch_that_arrives_late_adds_nothing(streams: Redis) -> None:
    await append(streams, 1, b"a", b"b")
    await append(streams, 3, b"c")

    assert await append(streams, 1, b"a", b"b") == [0, 0]
    assert await append(streams, 3, b"c") == [3]
    assert await streams.xlen(STREAM) == 3


async def test_an_entry_is_refused_while_the_one_before_it_is_missing(streams: Redis) -> None:
    await append(streams, 1, b"a")

    for producer in ("p", "another"):
        with pytest.raises(ResponseError, match="OUTOFORDER"):
            await append(streams, 3, b"c", previous=2, producer=producer)
    assert await append(streams, 2, b"b", previous=1) == 2
    assert await append(streams, 3, b"c", previous=2) == 3


async def test_no_entry_is_added_whose_number_can_not_be_recorded(streams: Redis) -> None:
    await append(streams, 1, b"a")
    await command(streams, "ACL", "SETUSER", "writer", "on", "nopass", "~*", "+@all", "-hset")
    host, port = (streams.connection_pool.connection_kwargs[name] for name in ("host", "port"))
    async with Redis(host=host, port=port, username="writer", password="x") as writer:
        with pytest.raises(NoPermissionError):
            await append(writer, 2, b"b")
    await command(streams, "ACL", "DELUSER", "writer")

    assert await append(streams, 2, b"b") == 2


async def test_producers_that_were_silent_for_long_are_forgotten(streams: Redis) -> None:
    for number in range(15):
        await streams.hset(PRODUCERS, f"gone-{number}", "1 1 1:1:1")

    await append(streams, 1, b"a")

    assert await streams.hkeys(PRODUCERS) == [b"p"]
    assert 0 < await streams.pttl(PRODUCERS) <= PRODUCER_KEPT
