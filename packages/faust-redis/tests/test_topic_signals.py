"""Signals of new entries, by which readers of many partitions choose what to read."""

from __future__ import annotations

import asyncio

import faust
import pytest
from faust.types import TP
from redis.asyncio import Redis

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.consuming.read_plans import Streams
from faust_redis.consuming.signal_follower import FULL_READ_INTERVAL, LINGER, ReadChoice, SignalFollower
from faust_redis.log.keys import Keys
from faust_redis.log.topic_signals import ALL, MANY, MOST_NAMED, signals_for
from faust_redis.log.topics import TopicFacts
from faust_redis.testing import eventually
from tests.apps import MakeApp, collecting, command, running

KEYS = Keys()
PARTITIONS = MANY + 8
FACTS = TopicFacts(PARTITIONS, 0, compacting=False)
SIGNAL = KEYS.signal("numbers")
SECONDS = 10.0


def streams_of(partitions: int) -> Streams:
    return {KEYS.stream(("numbers", number)).encode(): TP("numbers", number) for number in range(partitions)}


class Reader:
    """A reader of some partitions of a topic with many, without a consumer group."""

    def __init__(self, read: BlockingRead, partitions: int, facts: TopicFacts = FACTS) -> None:
        self._read = read
        self._follower = SignalFollower(KEYS, lambda _: facts)
        self.streams = streams_of(partitions)

    async def choose(self) -> ReadChoice:
        async with asyncio.timeout(SECONDS):
            return await self._follower.choose(self._read, self.streams)

    async def bring(self, choice: ReadChoice, *partitions: int, limit: int = 10) -> None:
        """Have the read bring an entry from each of these partitions."""
        found = {KEYS.stream(("numbers", number)).encode(): 1 for number in partitions}
        self._follower.note(choice, found, limit)

    async def read(self, *partitions: int) -> ReadChoice:
        choice = await self.choose()
        await self.bring(choice, *partitions)
        return choice

    async def get_busy(self) -> None:
        """Bring entries twice in a row, and read all streams once more."""
        for _ in range(3):
            await self.read(0)

    async def named(self) -> list[int]:
        """Return the partitions of the next reads of some streams."""
        while not (choice := await self.read()).streams or choice.streams is self.streams:
            assert not choice.blocks
        return sorted(tp.partition for tp in choice.streams.values())


async def signal(client: Redis, value: str | bytes) -> None:
    await command(client, "XADD", SIGNAL, "*", "p", value)


async def test_a_reader_without_entries_waits_for_all_streams(blocking_read: BlockingRead) -> None:
    reader = Reader(blocking_read, PARTITIONS)

    assert await reader.read() == ReadChoice(reader.streams, blocks=True)
    assert await reader.read(0) == ReadChoice(reader.streams, blocks=True)
    assert await reader.read(0) == ReadChoice(reader.streams, blocks=True)
    assert await reader.choose() == ReadChoice(reader.streams, blocks=False), "it begins to follow signals"


async def test_a_busy_reader_reads_the_partitions_that_signals_name(
    blocking_read: BlockingRead, streams: Redis
) -> None:
    await signal(streams, "1")  # before it follows them
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()
    await signal(streams, "7,3")
    await signal(streams, "5")

    assert await reader.named() == [3, 5, 7]


async def test_a_signal_may_stand_for_all_partitions(blocking_read: BlockingRead, streams: Redis) -> None:
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()
    await signal(streams, ALL)

    assert await reader.named() == list(range(PARTITIONS))


async def test_signals_of_partitions_of_other_workers_are_passed_over(
    blocking_read: BlockingRead, streams: Redis
) -> None:
    reader = Reader(blocking_read, PARTITIONS - 2)
    await reader.get_busy()
    await signal(streams, str(PARTITIONS - 1))
    await signal(streams, "4")

    assert await reader.named() == [4]


async def test_a_partition_with_more_entries_than_one_read_takes_is_read_on(
    blocking_read: BlockingRead,
) -> None:
    reader = Reader(blocking_read, PARTITIONS)
    for _ in range(2):
        await reader.read(0)
    await reader.bring(await reader.choose(), 2, limit=1)

    assert await reader.named() == [2]


async def test_entries_without_a_signal_have_the_reader_wait_for_all_streams_again(
    blocking_read: BlockingRead, streams: Redis
) -> None:
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()

    while (choice := await reader.choose()).streams is not reader.streams:
        await signal(streams, "6")
        await reader.bring(choice, 6)
    assert not choice.blocks
    await reader.bring(choice, 9)
    while (choice := await reader.choose()).streams is not reader.streams:
        await reader.bring(choice)

    assert choice.blocks


async def test_a_late_signal_is_one_all_the_same(blocking_read: BlockingRead, streams: Redis) -> None:
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()
    for _ in range(3):
        while (choice := await reader.choose()).streams is not reader.streams:
            await reader.bring(choice, 0)
        await reader.bring(choice, 9)
        await signal(streams, "9")

    assert not choice.blocks


async def test_a_reader_whose_entries_end_waits_for_all_streams_again(blocking_read: BlockingRead) -> None:
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()

    started = asyncio.get_running_loop().time()
    while not (await reader.read()).blocks:
        pass

    assert asyncio.get_running_loop().time() - started < LINGER + 5 * FULL_READ_INTERVAL


async def test_other_partitions_are_read_in_full_first(blocking_read: BlockingRead) -> None:
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()
    reader.streams = streams_of(PARTITIONS - 1)

    assert await reader.choose() == ReadChoice(reader.streams, blocks=False)


@pytest.mark.parametrize(
    ("owned", "facts"),
    [
        (MANY, FACTS),
        (PARTITIONS, TopicFacts(8 * PARTITIONS, 0, compacting=False)),
        (PARTITIONS, TopicFacts(PARTITIONS, 0, compacting=True)),
    ],
)
async def test_no_signals_are_followed_by_readers_of_few_partitions_or_of_a_small_share(
    blocking_read: BlockingRead, owned: int, facts: TopicFacts
) -> None:
    reader = Reader(blocking_read, owned, facts)
    for _ in range(4):
        assert (await reader.read(0)).blocks


async def test_signals_that_cannot_be_read_are_not_needed(
    blocking_read: BlockingRead, streams: Redis
) -> None:
    await streams.set(SIGNAL, "no stream")
    reader = Reader(blocking_read, PARTITIONS)
    await reader.get_busy()

    assert (await reader.choose()).blocks


def test_signals_name_the_partitions_of_a_batch_in_topics_with_many() -> None:
    declared = {"many": FACTS, "few": TopicFacts(MANY, 0, compacting=False)}
    tps = [TP("many", 3), TP("few", 1), TP("unknown", 1)]
    (named,) = signals_for(tps, declared.get, KEYS)
    assert (named[1], named[-1]) == (KEYS.signal("many"), "3")

    tps = [TP("many", number) for number in range(MOST_NAMED + 1)]
    assert signals_for(tps, declared.get, KEYS)[0][-1] == ALL


async def test_entries_with_and_without_signals_arrive_in_order(make_app: MakeApp, streams: Redis) -> None:
    app: faust.App = make_app(topic_partitions=PARTITIONS)
    topic, got = collecting(app, "numbers")
    async with running(app):
        for number in range(150):
            await topic.send(value=2 * number, partition=number % PARTITIONS)
            if number > 75:
                place = KEYS.stream(("numbers", number % 2))
                await command(streams, "XADD", place, "0-*", "v", str(2 * number + 1))
            await asyncio.sleep(0.005)
        await eventually(lambda: len(got) == 150 + 74, "all numbers")
        assert await streams.xlen(SIGNAL) > 0
    for number in range(2):
        own = [value for value in got if value % 2 and (value // 2) % 2 == number]
        assert own == sorted(own)
