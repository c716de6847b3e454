"""Figures and entries as an inspector reads them, against the truth in Redis."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from faust_redis import GroupSampler, Inspector, Member, TopicFacts
from faust_redis.redis import execute
from faust_redis.testing import Keys, encode

KEYS = Keys()

PLACE = ("infer", 3, "infer")
STREAM = KEYS.stream(("infer", 3))


async def declare(redis: Redis, topic: str, partitions: int) -> None:
    facts = ("partitions", partitions, "retention", 0, "compacting", 0)
    await execute(redis, "HSET", KEYS.topic(topic), *facts)


async def test_a_sample_holds_members_lag_pending_owners_failures_and_dead_letters(client: Redis) -> None:
    await declare(client, "orders", 2)
    stream, keys = KEYS.stream(("orders", 1)), KEYS.group("shop")
    await execute(client, "XGROUP", "CREATE", stream, "shop", "0", "MKSTREAM")
    for _ in range(5):
        await execute(client, "XADD", stream, "0-*", *encode(None, b"{}", None, 7.5))
    await execute(client, "XREADGROUP", "GROUP", "shop", "w1", "COUNT", 2, "STREAMS", stream, ">")
    await client.zadd(keys.heartbeats, {"w1": 1500, "w0": 2500})
    await client.hset(keys.state, "generation", "7")
    await client.hset(keys.plan, "w1", b"")
    await client.set(KEYS.lease(("orders", 1), "shop"), "7:w1")
    await client.hset(KEYS.attempts(("orders", 1), "shop"), "0-1", "2")
    await client.xadd(KEYS.dead(("orders", 1)), {"error": "x"})

    sample = await Inspector(client).sample("orders", "shop")

    assert (sample.lag, sample.pending, sample.generation, sample.settled) == (3, 2, 7, True)
    assert sample.members == (Member("w0", 2.5), Member("w1", 1.5))
    empty, used = sample.partitions
    assert (empty.length, empty.owner) == (0, None)
    assert (used.added, used.oldest, used.oldest_sent, used.owner) == (5, 1, 7.5, "w1")
    assert (used.failing, used.dead) == (1, 1)


async def test_a_group_that_nobody_has_ever_used_has_no_figures_and_no_error(client: Redis) -> None:
    sample = await Inspector(client).sample("orders")
    assert (sample.partitions, sample.members, sample.settled) == ((), (), True)


async def test_a_sampler_is_stale_until_it_has_seen_the_number_of_partitions(client: Redis) -> None:
    await declare(client, "orders", 4)
    sampler = GroupSampler("orders")
    seen = []
    await sampler.load(client)
    for _ in range(2):
        replies = [await execute(client, *command) for command in sampler.commands()]
        seen.append((len(sampler.read(iter(replies)).partitions), sampler.is_stale))
    assert seen == [(0, True), (4, False)]


@pytest.mark.parametrize("summing", [1, 2])
async def test_a_sampler_adds_up_the_entries_of_partitions(client: Redis, summing: int) -> None:
    await declare(client, "orders", 3)
    for number, read, moved in ((0, 2, None), (2, 3, "0-1")):  # after XGROUP SETID, Redis knows no lag
        stream = KEYS.stream(("orders", number))
        await execute(client, "XGROUP", "CREATE", stream, "orders", "0", "MKSTREAM")
        for _ in range(5):
            await execute(client, "XADD", stream, "0-*", "v", "")
        await execute(client, "XREADGROUP", "GROUP", "orders", "w1", "COUNT", read, "STREAMS", stream, ">")
        await execute(client, "XACK", stream, "orders", "0-1")
        if moved is not None:
            await execute(client, "XGROUP", "SETID", stream, "orders", moved)
    await execute(client, "XTRIM", KEYS.stream(("orders", 0)), "MINID", "0-2")
    sampler = GroupSampler("orders", summing=summing)
    await sampler.load(client)

    for _ in range(2):
        sample = sampler.read(iter([await execute(client, *command) for command in sampler.commands()]))

    assert sum(partition.added for partition in sample.partitions) == 10
    assert (sample.lag, sample.pending) == (3 + 4, 1 + 2)


async def test_topics_and_groups_are_found_by_name(client: Redis) -> None:
    await declare(client, "orders", 2)
    await declare(client, "bills", 1)
    await execute(client, "XGROUP", "CREATE", KEYS.stream(("orders", 1)), "shop", "0", "MKSTREAM")
    inspector = Inspector(client)

    assert await inspector.topics() == {"bills": TopicFacts(1, 0, False), "orders": TopicFacts(2, 0, False)}
    assert await inspector.topic("absent") is None
    assert await inspector.groups("orders") == ["shop"]
    assert await inspector.groups("absent") == []


async def test_lengths_are_sums_over_all_partitions(client: Redis) -> None:
    for number in (0, 3):
        for _ in range(5):
            await client.xadd(KEYS.stream(("infer", number)), {"v": "x"})
    assert await Inspector(client).lengths({"ingest": 2, "infer": 4}) == {"ingest": 0, "infer": 10}


async def test_entries_are_paged_by_offset_from_both_ends(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await execute(redis, "XGROUP", "CREATE", STREAM, "infer", "0", "MKSTREAM")
        for number in range(10):
            await execute(redis, "XADD", STREAM, "0-*", *encode(b"k", b"%d" % number, None, 1.0))
        await execute(redis, "XREADGROUP", "GROUP", "infer", "w1", "COUNT", 6, "STREAMS", STREAM, ">")
        await redis.hset(KEYS.attempts(("infer", 3), "infer"), "0-2", "4")
        inspector = Inspector(redis)

        latest = await inspector.latest(*PLACE, count=6)
        assert [entry.offset for entry in latest] == [10, 9, 8, 7, 6, 5]
        assert [entry.consumer for entry in latest] == [None, None, None, None, "w1", "w1"]
        assert [entry.offset for entry in await inspector.latest(*PLACE, before=5, count=6)] == [4, 3, 2, 1]

        pending = await inspector.pending(*PLACE, count=4)
        assert [entry.offset for entry in pending] == [1, 2, 3, 4]
        assert [entry.attempts for entry in pending] == [0, 4, 0, 0]
        assert pending[0].record is not None
        assert pending[0].record.value == b"0"
        assert [entry.offset for entry in await inspector.pending(*PLACE, after=4, count=4)] == [5, 6]


async def test_an_entry_deleted_while_it_was_pending_is_shown_as_such(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await execute(redis, "XADD", STREAM, "0-*", *encode(None, b"{}", None, 1.0))
        await execute(redis, "XGROUP", "CREATE", STREAM, "infer", "0")
        await execute(redis, "XREADGROUP", "GROUP", "infer", "w1", "STREAMS", STREAM, ">")
        await execute(redis, "XDEL", STREAM, "0-1")
        (entry,) = await Inspector(redis).pending(*PLACE)
        assert entry.record is None


async def test_a_partition_that_does_not_exist_has_no_entries(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        assert await Inspector(redis).latest(*PLACE) == []
        assert await Inspector(redis).pending(*PLACE) == []
