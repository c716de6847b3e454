"""The stream of a web node, as the node reads it."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from pipeline.chat import node_stream as module
from pipeline.chat.node_stream import NODE_TTL, TRIM_AFTER, NodeStream
from pipeline.chat.presence import add_command
from pipeline.redis.client import execute_many
from pipeline.redis.keys import node_stream as stream_key

KEY = stream_key("n1")


async def write(redis: Redis, count: int) -> None:
    """Add as many entries as agents would."""
    await execute_many(redis, [add_command("n1", [("token", {"type": "ended"})])] * count)


async def test_what_was_read_leaves_the_stream(redis: Redis, reader: NodeStream) -> None:
    for _ in range(5):
        await write(redis, TRIM_AFTER)
        assert len(await reader.read(count=1000, block_ms=100)) == TRIM_AFTER

    assert await redis.xlen(KEY) <= TRIM_AFTER + 1  # with the entry that made it


async def test_nothing_is_lost_while_entries_are_added_and_trimmed(redis: Redis, reader: NodeStream) -> None:
    writing = asyncio.create_task(write(redis, 5 * TRIM_AFTER))
    read = 0
    async with asyncio.timeout(10):
        while read < 5 * TRIM_AFTER:
            read += len(await reader.read(count=50, block_ms=100))
    await writing

    assert not await reader.read(count=50, block_ms=1)


async def test_a_renewed_stream_lives_on_and_a_lost_one_is_made_again(
    redis: Redis, reader: NodeStream
) -> None:
    await redis.expire(KEY, 1)
    assert not await reader.renew()
    assert 1 < await redis.ttl(KEY) <= NODE_TTL

    await redis.delete(KEY)
    assert await reader.renew()
    await write(redis, 1)
    assert len(await reader.read(count=10, block_ms=100)) == 1


async def test_a_reader_that_is_far_behind_starts_afresh(
    redis: Redis, reader: NodeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNREAD_LIMIT", 10)
    await write(redis, 20)

    assert await reader.renew(), "frames are lost"

    assert await redis.xlen(KEY) == 0
    await write(redis, 1)
    assert len(await reader.read(count=100, block_ms=100)) == 1


async def test_frames_for_a_node_without_a_stream_are_not_stored(redis: Redis) -> None:
    await write(redis, 3)

    assert not await redis.exists(KEY)
