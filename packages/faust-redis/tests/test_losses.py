"""Redis comes back with older data: lost messages are noticed, counted, and sent again before newer ones."""

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
from faust_redis.producing.recent import KEPT_ENTRIES
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


async def send(app: faust.App, count: int, partition: int = 0, first: int = 1) -> list[int]:
    """Send numbers and return their offsets once Redis has confirmed them."""
    values = [b"%d" % number for number in range(first, first + count)]
    sent = [await app.producer.send("numbers", b"k", value, partition, None, None) for value in values]
    return [(await confirmed).offset for confirmed in sent]


def numbers(server: RedisServer, partition: int = 0) -> list[int]:
    """Return the numbers that a partition holds."""
    return [int(fields["v"]) for _, fields in server.call("XRANGE", f"{{numbers:{partition}}}", "-", "+")]


async def test_a_restored_snapshot_is_noticed_by_a_producer_that_sends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path) as server:
        async with sender_at(server.url) as app:
            await send(app, 50)
            await send(app, 5, partition=1)
            server.call("SAVE")
            assert await send(app, 10, first=51) == list(range(51, 61))

            server.kill()
            server.start()

            await eventually(lambda: lost_messages(app) == 10, "the loss to be noticed")
            assert "numbers-0: Redis has no record of the last 10 messages" in caplog.text
            assert "numbers-1" not in caplog.text
            await eventually(lambda: numbers(server) == list(range(1, 61)), "the lost ones to be sent again")
            assert await send(app, 2, first=61) == [61, 62]


async def test_lost_messages_come_before_those_that_are_sent_at_once_and_again_after_a_second_loss(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path) as server:
        async with sender_at(server.url) as app:
            await send(app, 20)
            server.call("SAVE")
            sent = 20
            for lost in (5, 5 + 15):
                await send(app, 5, first=sent + 1)

                server.kill()
                restarting = asyncio.create_task(send(app, 5, first=sent + 6))  # waits in the queue
                await asyncio.sleep(0)
                server.start()
                await restarting

                sent += 10
                assert numbers(server) == list(range(1, sent + 1))
                assert lost_messages(app) == lost


async def test_a_partition_that_was_emptied_gets_no_old_messages(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with sender_at(server.url) as app:
            await send(app, KEPT_ENTRIES + 5)

            server.call("FLUSHALL")
            await send(app, 2, first=1_000_000)

            assert numbers(server) == [1_000_000, 1_000_001]
            assert lost_messages(app) == KEPT_ENTRIES + 5


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

            assert await read(3) == [4, 5, 6]
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
            await send(app, 7, first=21)

            primary.kill()
            replica.thaw()

            await eventually(lambda: lost_messages(app) == 7, "the loss to be noticed")
            assert await asyncio.wait_for(send(app, 1, first=28), 30) == [28]
            assert numbers(replica) == list(range(1, 29))


async def test_a_table_whose_changes_are_lost_is_rebuilt_at_once(tmp_path: Path, make_app: MakeApp) -> None:
    with RedisServer(tmp_path / "redis") as server:
        app = make_app(broker=f"{server.url}?resend_seconds=0")  # or the lost words would count again
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
            await app.consumer.commit()  # words that are saved without their acks would count again
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
