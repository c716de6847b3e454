"""Many partitions: calls, reads and trims that cover several of them."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
import pytest
from faust.types import TP
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.consuming.trimming import FEW, Trimmer
from faust_redis.log.keys import Keys
from faust_redis.producing.appends import PRODUCER_KEPT
from faust_redis.redis.scripts import ACK_MANY, APPEND_MANY, ScriptRunner
from faust_redis.testing import eventually
from tests.apps import MakeApp, collecting, is_empty, running

KEYS = Keys()
PARTITIONS = FEW + 8
TPS = [TP("numbers", partition) for partition in range(PARTITIONS)]


async def append_to(streams: Redis, *runs: tuple[int, int, int, bytes]) -> list[Any]:
    """Add an entry each to partitions of ``numbers``; a run is partition, sequence, previous and value."""
    keys = [key for run in runs for key in (KEYS.stream(TPS[run[0]]), KEYS.producers(TPS[run[0]]))]
    values: list[Any] = [part for _, *numbers, value in runs for part in (*numbers, 0, 2, 2, b"v", value)]
    reply = await ScriptRunner(streams).call(APPEND_MANY, keys, *values, producer="me", kept_ms=PRODUCER_KEPT)
    return list(reply)


async def test_one_call_adds_to_many_partitions_and_again_nothing(streams: Redis) -> None:
    runs = [(number, 1, 0, b"%d" % number) for number in range(PARTITIONS)]
    assert await append_to(streams, *runs) == [1] * PARTITIONS
    assert await append_to(streams, *runs) == [[1]] * PARTITIONS

    lengths = [await streams.xlen(KEYS.stream(tp)) for tp in TPS]
    assert lengths == [1] * PARTITIONS


async def test_a_partition_that_takes_no_entries_does_not_hold_up_others_of_its_call(streams: Redis) -> None:
    await streams.set(KEYS.stream(TPS[1]), "no stream")

    first, refused, second = await append_to(streams, (0, 1, 0, b"a"), (1, 1, 0, b"b"), (2, 1, 0, b"c"))

    assert (first, second) == (1, 1)
    assert isinstance(refused, ResponseError)


async def test_an_entry_after_a_missing_one_is_refused_alone(streams: Redis) -> None:
    first, refused, late, second = await append_to(
        streams, (0, 1, 0, b"a"), (1, 3, 2, b"c"), (1, 4, 3, b"d"), (2, 1, 0, b"a")
    )

    assert (first, second) == (1, 1)
    assert [str(error).split()[0] for error in (refused, late)] == ["OUTOFORDER", "OUTOFORDER"]


async def test_one_call_acks_many_partitions_and_only_those_that_the_caller_owns(streams: Redis) -> None:
    for number in range(4):
        tp = TPS[number]
        await append_to(streams, (number, 1, 0, b"a"))
        await streams.xgroup_create(KEYS.stream(tp), "group", "0")
        await streams.xreadgroup("group", "me", {KEYS.stream(tp): ">"})
        await streams.set(KEYS.lease(tp, "group"), "1:another" if number == 2 else "1:me")
    await streams.delete(KEYS.stream(TPS[3]))
    await streams.set(KEYS.stream(TPS[3]), "no stream")
    keys = [
        key
        for tp in TPS[:4]
        for key in (KEYS.stream(tp), KEYS.lease(tp, "group"), KEYS.attempts(tp, "group"))
    ]
    values: list[Any] = [
        "1:me",
        1,
        1,
        "0-1",
        "1:me",
        0,
        2,
        "0-1",
        "0-2",
        "1:me",
        1,
        1,
        "0-1",
        "1:me",
        1,
        1,
        "0-1",
    ]

    *acked, error = await ScriptRunner(streams).call(ACK_MANY, keys, *values, group="group")

    assert acked == [1, 1, -1]
    assert isinstance(error, ResponseError)
    assert [await streams.xlen(KEYS.stream(tp)) for tp in TPS[:3]] == [0, 1, 1], "the first one is trimmed"


async def test_what_is_done_in_many_partitions_is_trimmed(make_app: MakeApp, streams: Redis) -> None:
    app: faust.App = make_app(topic_partitions=PARTITIONS, broker_commit_interval=0.05)
    topic, got = collecting(app, "numbers")
    async with running(app):
        for number in range(4 * PARTITIONS):
            await topic.send(value=number, partition=number % PARTITIONS)
        await eventually(lambda: len(got) == 4 * PARTITIONS, "all numbers")
        await eventually(is_empty(streams, "numbers", PARTITIONS), "all partitions to be trimmed")
    assert sorted(got) == list(range(4 * PARTITIONS))


async def test_entries_that_a_dead_owner_had_acked_are_trimmed_by_the_next_one(
    make_app: MakeApp, streams: Redis
) -> None:
    app: faust.App = make_app(topic_partitions=1)
    collecting(app, "numbers")
    await append_to(streams, (0, 1, 0, b"1"))
    await streams.xgroup_create(KEYS.stream(TPS[0]), app.conf.id, "0")
    await streams.xreadgroup(app.conf.id, "dead", {KEYS.stream(TPS[0]): ">"})
    await streams.xack(KEYS.stream(TPS[0]), app.conf.id, "0-1")

    async with running(app):
        await eventually(is_empty(streams, "numbers"), "the partition to be trimmed")


async def test_of_many_partitions_each_is_trimmed_once_a_second_and_the_rest_later() -> None:
    trimmed: list[TP] = []

    async def trim(tps: list[TP]) -> None:
        trimmed.extend(tps)

    trimmer = Trimmer(lambda: TPS, trim)
    assert set(trimmer.choose(TPS)) == set(TPS)
    trimmer.note(TPS, trimmer.choose(TPS))
    assert not trimmer.choose(TPS)
    assert trimmer.choose(TPS[:FEW]) == TPS[:FEW], "a few partitions are trimmed with each ack"
    trimmer.note(TPS, ())

    await trimmer.trim_left()
    await trimmer.trim_left()

    assert trimmed == TPS


@pytest.mark.parametrize(("streams_read", "rests"), [(8, False), (512, True)])
async def test_a_read_of_many_streams_rests_after_one_that_brought_entries(
    streams_read: int, rests: bool
) -> None:
    read = BlockingRead(None, KEYS)  # type: ignore[arg-type]
    read.brought(streams_read)

    resting = asyncio.ensure_future(read.rest())
    await asyncio.sleep(0)

    assert resting.done() is not rests
    assert await resting


async def test_a_rest_ends_with_the_read_that_is_to_end() -> None:
    read = BlockingRead(None, KEYS)  # type: ignore[arg-type]
    read.brought(1_000_000)
    resting = asyncio.ensure_future(read.rest())
    await asyncio.sleep(0)

    await read.unblock()

    assert await resting is False
