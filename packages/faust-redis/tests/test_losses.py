"""Redis comes back with older data: what it had confirmed and no longer has is noticed and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import faust
import pytest
import redis
from faust.types import TP, Message, StreamT

from faust_redis import lost_messages
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.driver import Transport
from faust_redis.testing import RedisServer, eventually, sentinel
from tests.apps import MakeApp, running

pytestmark = pytest.mark.processes


@asynccontextmanager
async def sender_at(url: str) -> AsyncIterator[faust.App]:
    """A program that sends."""
    app = faust.App("sender", broker=url, topic_partitions=2, web_enabled=False)
    await app.maybe_start_producer()
    try:
        yield app
    finally:
        await app.producer.stop()


async def send(app: faust.App, count: int, partition: int = 0) -> list[int]:
    """Send messages and return their offsets once Redis has confirmed them."""
    sent = [await app.producer.send("numbers", b"k", b"v", partition, None, None) for _ in range(count)]
    return [(await confirmed).offset for confirmed in sent]


async def test_a_restored_snapshot_is_noticed_by_a_producer_that_sends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path) as server:
        async with sender_at(server.url) as app:
            await send(app, 50)
            await send(app, 5, partition=1)
            server.call("SAVE")
            assert await send(app, 10) == list(range(51, 61))

            server.kill()
            server.start()

            await eventually(lambda: lost_messages(app) == 10, "the loss to be noticed")
            assert "numbers-0: Redis has no record of the last 10 messages" in caplog.text
            assert "numbers-1" not in caplog.text
            assert await send(app, 2) == [51, 52]


async def test_a_restart_with_all_data_is_no_loss(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with sender_at(own_redis.url) as app:
        await send(app, 50)

        own_redis.stop()
        own_redis.start()

        assert await send(app, 1) == [51]
        assert lost_messages(app) == 0
        assert "no record" not in caplog.text


async def test_events_whose_delivery_is_lost_are_not_acked_in_the_place_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    partition = TP("numbers", 0)
    with RedisServer(tmp_path) as server:
        async with sender_at(server.url) as app:
            context = Transport([app.conf.broker[0]], app).context
            reader = PartitionReader(context, "group", "member", start="0", room=1000)
            dropped: list[tuple[TP, int]] = []
            reader.on_undelivered = lambda tp, last: dropped.append((tp, last))
            reader.assign([partition], (), 1)

            async def read(count: int) -> list[int]:
                """Read entries until so many have come, and keep them in flight."""
                offsets: list[int] = []
                while len(offsets) < count:
                    with suppress(redis.RedisError):
                        for record in (await reader.read({partition}, 1.0)).get(partition, ()):
                            offsets.append(record.offset)
                            reader.queues[partition].in_flight[record.offset] = cast(Message, None)
                return offsets

            await send(app, 3)
            assert await read(3) == [1, 2, 3]
            server.call("SAVE")
            await send(app, 2)
            assert await read(2) == [4, 5]

            server.kill()
            server.start()
            await send(app, 1)

            assert await read(1) == [4]
            assert dropped == [(partition, 3)]
            assert "no record of the delivery of 2 events, up to offset 5" in caplog.text
            await reader.close()


async def test_a_failover_to_a_replica_behind_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sentinel(tmp_path) as (url, (primary, replica)):
        async with sender_at(url) as app:
            await send(app, 20)
            await eventually(lambda: replica.call("XLEN", "{numbers:0}") == 20, "the replica to have them")
            replica.freeze()
            primary.call("CLIENT", "KILL", "TYPE", "replica")  # or its socket would hold what comes now
            await send(app, 7)

            primary.kill()
            replica.thaw()

            await eventually(lambda: lost_messages(app) == 7, "the loss to be noticed")
            assert await asyncio.wait_for(send(app, 1), 30) == [21]


async def test_a_table_whose_changes_are_lost_is_rebuilt_at_once(tmp_path: Path, make_app: MakeApp) -> None:
    with RedisServer(tmp_path / "redis") as server:
        app = make_app(broker=server.url)
        words: Any = app.topic("words", key_type=str, value_type=str)
        counts = app.Table("counts", default=int, partitions=1)

        @app.agent(words)
        async def count(stream: StreamT[str]) -> None:
            async for word in stream:
                counts[word] += 1

        async with running(app):
            for _ in range(3):
                await (await words.send(key="ada", value="ada"))
            await eventually(lambda: counts.get("ada") == 3, "three")
            await app.producer.flush()
            server.call("SAVE")
            for _ in range(2):
                await (await words.send(key="ada", value="ada"))
            await eventually(lambda: counts.get("ada") == 5, "five")
            await app.producer.flush()

            server.kill()
            server.start()
            unread: Any = app.topic("unread", value_type=str)
            await (await unread.send(value="finds out"))

            await eventually(lambda: counts.get("ada") == 3, "the table to be what Redis has")
