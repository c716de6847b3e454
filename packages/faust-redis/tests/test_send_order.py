"""Whatever Redis refuses for a while, each producer's messages are added once, in the order they were sent.

SEND_ORDER_SECONDS tries each reason of a refusal for so long.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

import faust
import pytest
import redis
from faust.exceptions import ProducerSendError
from redis.asyncio import Redis

from faust_redis.log.entries import decode
from faust_redis.log.keys import Keys
from faust_redis.testing import HOST, Cluster, RedisServer

PARTITIONS = 3
PRODUCERS = 3
KEYS = Keys()
#: Bytes of messages: while memory is short, small ones fit where large ones do not.
SIZES = (10, 10, 10, 200, 60_000)
#: Seconds for which refusals come and go.
SECONDS = float(os.environ.get("SEND_ORDER_SECONDS", "0"))
SHORT_SECONDS = 0.8

Call = Callable[..., Any]
Breaker = Callable[[Call, random.Random], Call]


def short_of_memory(call: Call, chosen: random.Random) -> Call:
    used = int(call("INFO", "memory")["used_memory"])
    call("CONFIG", "SET", "maxmemory", used + chosen.randrange(150_000))
    return lambda: call("CONFIG", "SET", "maxmemory", 0)


def without_rights(call: Call, chosen: random.Random) -> Call:
    call("ACL", "SETUSER", "default", chosen.choice(["-xadd", "-hset", "-evalsha"]))
    return lambda: call("ACL", "SETUSER", "default", "+@all")


def without_replicas(call: Call, _chosen: random.Random) -> Call:
    call("CONFIG", "SET", "min-replicas-to-write", 1)
    return lambda: call("CONFIG", "SET", "min-replicas-to-write", 0)


def as_a_replica(call: Call, _chosen: random.Random) -> Call:
    call("REPLICAOF", HOST, 1)
    return lambda: call("REPLICAOF", "NO", "ONE")


def with_forgotten_scripts(call: Call, _chosen: random.Random) -> Call:
    return lambda: call("SCRIPT", "FLUSH")


def with_cut_connections(call: Call, _chosen: random.Random) -> Call:
    return lambda: call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


BREAKERS: list[Breaker] = [
    short_of_memory,
    without_rights,
    without_replicas,
    as_a_replica,
    with_forgotten_scripts,
    with_cut_connections,
]


@contextmanager
def breaking(server: RedisServer, breakers: list[Breaker]) -> Iterator[None]:
    """Have the server refuse and admit writes in turn during the block, from a thread of its own."""
    ended = threading.Event()
    chosen = random.Random(1)

    def run() -> None:
        with redis.Redis(HOST, server.port, decode_responses=True) as client:
            while not ended.is_set():
                restore = chosen.choice(breakers)(client.execute_command, chosen)
                ended.wait(chosen.choice([0.0, 0.001, 0.02]))
                restore()
                ended.wait(chosen.choice([0.0, 0.001, 0.01]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@asynccontextmanager
async def producers(url: str, count: int = PRODUCERS) -> AsyncIterator[list[faust.App]]:
    """Programs that send."""
    apps = [
        faust.App(f"sender-{number}", broker=url, topic_partitions=PARTITIONS, web_enabled=False)
        for number in range(count)
    ]
    for app in apps:
        await app.maybe_start_producer()
    try:
        yield apps
    finally:
        for app in apps:
            await app.producer.stop()


Sent = dict[tuple[int, int], list[int]]


async def send_for_a_while(apps: list[faust.App], seconds: float, seed: int) -> Sent:
    """Send messages of mixed sizes from all producers; return their numbers by producer and partition."""
    chosen = random.Random(seed)
    sent: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    number, until = 0, monotonic() + seconds
    while monotonic() < until:
        for _ in range(chosen.randrange(1, 20)):
            number += 1
            producer, partition = chosen.randrange(len(apps)), chosen.randrange(PARTITIONS)
            mark = b"%d %d " % (producer, number)
            key = chosen.choice([None, b"k"])  # entries with and without a key go in calls of their own
            await apps[producer].producer.send(
                "numbers", key, mark + b"." * chosen.choice(SIZES), partition, None, None
            )
            sent[producer, partition].append(number)
        await asyncio.sleep(0.005)
    return sent


async def flush(apps: list[faust.App]) -> None:
    for app in apps:
        await asyncio.wait_for(app.producer.flush(), 30)


async def added(client: Any) -> Sent:
    """Return the numbers that the partitions hold, by producer and partition."""
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for partition in range(PARTITIONS):
        for entry_id, fields in await client.xrange(KEYS.stream(("numbers", partition))):
            value = decode(entry_id, [part for pair in fields.items() for part in pair]).value
            assert value is not None
            producer, number, _ = value.split(b" ", 2)
            found[int(producer), partition].append(int(number))
    return found


@pytest.mark.parametrize(
    "breakers",
    [BREAKERS[:1], BREAKERS] if not SECONDS else [[breaker] for breaker in BREAKERS],
    ids=lambda breakers: breakers[0].__name__ if len(breakers) == 1 else "for_any_reason",
)
@pytest.mark.timeout(60 + 2 * SECONDS)
async def test_messages_keep_their_order_while_redis_refuses_some(
    shared_redis: RedisServer, streams: Redis, breakers: list[Breaker]
) -> None:
    async with producers(shared_redis.url) as apps:
        with breaking(shared_redis, breakers):
            sent = await send_for_a_while(apps, SECONDS or SHORT_SECONDS, seed=2)
        await flush(apps)

        assert await added(streams) == sent


async def test_messages_keep_their_order_while_their_slot_moves_between_nodes(
    shards: Cluster, sharded: Any
) -> None:
    ended = threading.Event()

    def move() -> None:
        chosen = random.Random(3)
        while not ended.is_set():
            with shards.moving(KEYS.stream(("numbers", chosen.randrange(PARTITIONS)))):
                ended.wait(0.05)

    async with producers(shards.url) as apps:
        thread = threading.Thread(target=move)
        thread.start()
        try:
            sent = await send_for_a_while(apps, SECONDS or SHORT_SECONDS, seed=4)
        finally:
            ended.set()
            thread.join()
        await flush(apps)

        assert await added(sharded.commands) == sent


async def test_a_message_too_large_for_redis_is_refused_alone_and_those_around_it_keep_their_order(
    own_redis: RedisServer,
) -> None:
    own_redis.call("CONFIG", "SET", "proto-max-bulk-len", "1mb")
    async with producers(own_redis.url, 1) as (app,):
        large = {37, 38, 90}
        confirmed = [
            await app.producer.send(
                "numbers", None, b"%d " % number + b"." * (2_000_000 if number in large else 5), 0, None, None
            )
            for number in range(120)
        ]
        refused = set()
        for number, future in enumerate(confirmed):
            try:
                await asyncio.wait_for(future, 30)
            except ProducerSendError:
                refused.add(number)

        assert refused == large
        values = [
            int(fields["v"].split()[0]) for _, fields in own_redis.call("XRANGE", "{numbers:0}", "-", "+")
        ]
        assert values == sorted(set(range(120)) - large)


async def test_a_partition_that_refuses_everything_holds_up_no_other(own_redis: RedisServer) -> None:
    own_redis.call("XADD", "{numbers:0}", "7-7", "other", "ids")
    async with producers(own_redis.url, 1) as (app,):
        futures = [
            await app.producer.send("numbers", None, b"%d" % number, number % 2, None, None)
            for number in range(600)
        ]
        outcomes = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 20)

        assert all(isinstance(each, ProducerSendError) for each in outcomes[::2])
        values = [int(fields["v"]) for _, fields in own_redis.call("XRANGE", "{numbers:1}", "-", "+")]
        assert values == list(range(1, 600, 2))
