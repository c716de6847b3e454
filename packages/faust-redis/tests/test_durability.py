"""Writes that are confirmed by replicas and disks, not by the primary alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import faust
import pytest
import redis

from faust_redis import BrokerAddressError, UnconfirmedWriteError
from faust_redis.errors import UnsupportedServerError
from faust_redis.redis import Server, server_from_urls
from faust_redis.redis.durability import Durability, durability_of
from faust_redis.redis.probe import ServerFacts, lacks_for, missing_replicas, probe
from faust_redis.testing import Cluster, RedisServer, eventually, wait_until
from tests.numbers import numbers_seen, send_numbers
from tests.replicated import ReplicatedPair
from tests.worker import StartWorker

pytestmark = pytest.mark.processes

ALL = "acks=all&acks_timeout_ms=200"


def test_the_durability_comes_out_of_the_queries_of_all_addresses() -> None:
    found, plain = durability_of(["redis://h/0?acks=all&socket_timeout=3", "redis://i/0?acks_replicas=2"])

    assert found == Durability("all", replicas=2)
    assert plain == ["redis://h/0?socket_timeout=3", "redis://i/0"]
    assert durability_of(["unix:///s.sock?db=2"]) == (Durability(), ["unix:///s.sock?db=2"])


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("acks=some", "acks=some is not one of 1, all, fsync"),
        ("acks_replicas=9", "acks_replicas=9 is no whole number from 0 to 8"),
        ("acks_timeout_ms=1", "acks_timeout_ms=1 is no whole number from 10 to 5000"),
    ],
)
def test_a_durability_that_makes_no_sense_is_refused_by_name(query: str, reason: str) -> None:
    with pytest.raises(BrokerAddressError, match=reason):
        server_from_urls([f"redis://h/0?{query}"])


async def test_a_confirmed_write_is_on_the_replica(pair: ReplicatedPair, confirming: Server) -> None:
    for number in range(200):
        await confirming.stream.execute("SET", "key", number)

        assert pair.replica.call("GET", "key") == str(number)


async def test_what_many_tasks_write_at_once_shares_its_waits(
    pair: ReplicatedPair, confirming: Server
) -> None:
    await confirming.stream.execute("PING")
    before = pair.primary.call("INFO", "commandstats").get("cmdstat_wait", {"calls": 0})["calls"]

    lengths = await asyncio.gather(*(confirming.stream.execute("RPUSH", "list", n) for n in range(500)))

    assert lengths == list(range(1, 501))
    assert pair.replica.call("LLEN", "list") == 500
    assert pair.primary.call("INFO", "commandstats")["cmdstat_wait"]["calls"] - before < 20


async def test_without_its_replica_a_write_is_not_confirmed_and_a_read_is_answered(
    pair: ReplicatedPair, confirming: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await confirming.stream.execute("SET", "key", "before")
    pair.replica.freeze()

    written, read = await confirming.stream.execute_many([("SET", "key", "after"), ("GET", "key")])

    assert isinstance(written, UnconfirmedWriteError)
    assert str(written) == "acks=all: 0 of 1 replicas have confirmed the writes in 500 ms"
    assert read == b"after"
    assert str(written) in caplog.text
    pair.replica.thaw()
    assert await confirming.stream.execute("SET", "key", "again") == b"OK"


async def test_an_argument_that_cannot_be_sent_fails_its_own_call_only(confirming: Server) -> None:
    good, bad, other = await asyncio.gather(
        confirming.stream.execute("SET", "a", 1),
        confirming.stream.execute("SET", "b", None),  # type: ignore[arg-type]
        confirming.stream.execute("SET", "c", 3),
        return_exceptions=True,
    )

    assert (good, other) == (b"OK", b"OK")
    assert isinstance(bad, TypeError)


async def test_a_closed_connection_fails_the_calls_that_wait(
    pair: ReplicatedPair, confirming: Server
) -> None:
    await confirming.stream.execute("PING")
    pair.replica.freeze()
    under_way = asyncio.create_task(confirming.stream.execute("SET", "key", 1))
    await eventually(lambda: pair.primary.call("GET", "key") == "1", "the write to be under way")
    queued = asyncio.create_task(confirming.stream.execute("SET", "key", 2))
    await asyncio.sleep(0)

    await confirming.stream.close()

    outcomes = await asyncio.gather(under_way, queued, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [redis.ConnectionError, redis.ConnectionError]


async def test_messages_are_confirmed_and_added_once_when_the_replica_is_back(pair: ReplicatedPair) -> None:
    app = faust.App("sender", broker=f"{pair.primary.url}?{ALL}", topic_partitions=2, web_enabled=False)
    await app.maybe_start_producer()
    await (await app.producer.send("numbers", b"k", b"first", 0, None, None))
    pair.replica.freeze()
    pending = [
        asyncio.ensure_future(await app.producer.send("numbers", b"k", b"%d" % n, n % 2, None, None))
        for n in range(20)
    ]
    streams = ("{numbers:0}", "{numbers:1}")
    await eventually(lambda: pair.primary.call("XLEN", streams[0]) == 11, "the primary to have them")

    assert not any(future.done() for future in pending)

    pair.replica.thaw()
    offsets = [(await future).offset for future in pending]
    await app.producer.stop()
    assert offsets == [2 + n // 2 if n % 2 == 0 else 1 + n // 2 for n in range(20)]
    assert [pair.replica.call("XLEN", stream) for stream in streams] == [11, 10]


def need_waitaof(server: RedisServer) -> None:
    """Skip the test on a server from before Redis 7.2."""
    try:
        server.call("WAITAOF", 0, 0, 1)
    except redis.ResponseError:
        pytest.skip("this server has no WAITAOF")


async def test_a_write_can_wait_for_the_disks(pair: ReplicatedPair) -> None:
    need_waitaof(pair.primary)
    # A replica reports its disk once a second.
    server = pair.server("acks=fsync&acks_timeout_ms=3000")
    await probe(server, "key")

    assert await server.stream.execute("SET", "key", 1) == b"OK"

    await server.aclose()
    pair.replica.freeze()
    server = pair.server("acks=fsync&acks_timeout_ms=200")
    with pytest.raises(UnconfirmedWriteError, match="0 of 1 replicas"):
        await server.stream.execute("SET", "key", 2)
    await server.aclose()


async def test_one_server_confirms_with_its_own_disk(pair: ReplicatedPair) -> None:
    need_waitaof(pair.primary)
    server = pair.server("acks=fsync&acks_replicas=0")
    pair.replica.freeze()

    assert await server.stream.execute("SET", "key", 1) == b"OK"

    await server.aclose()


async def test_a_server_without_a_disk_is_refused_for_fsync(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as own:
        need_waitaof(own)
        server = server_from_urls([f"{own.url}?acks=fsync"])
        with pytest.raises(UnsupportedServerError, match="has appendonly no"):
            await probe(server, "key")
        await server.aclose()


def test_a_server_without_waitaof_is_refused_for_fsync() -> None:
    old = ServerFacts("Redis", "7.0.15", "standalone", {}, {"WAITAOF": False})

    assert "lacks WAITAOF" in (lacks_for(old, Durability("fsync")) or "")
    assert lacks_for(old, Durability("all")) is None


def test_missing_replicas_are_reported_at_the_start() -> None:
    alone = ServerFacts("Redis", "7.4.0", "standalone", {})

    assert missing_replicas(alone, Durability("1")) == []
    (line,) = missing_replicas(alone, Durability("all"))
    assert "0 of 1 replicas are connected: nothing is confirmed" in line


async def test_a_cluster_waits_for_the_replica_of_each_primary(
    redis_cluster: Cluster, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    addresses = ";".join(f"{address}?acks=all" for address in redis_cluster.url.split(";"))
    start_worker(addresses, notes_url=redis_url, app="confirmed")

    await send_numbers(addresses, 200)

    wait_until(lambda: set(numbers_seen(notes)) == set(range(200)), "all 200 numbers")
    waits = [
        node.call("INFO", "commandstats").get("cmdstat_wait", {"calls": 0})["calls"]
        for node in redis_cluster.nodes.values()
    ]
    assert sum(1 for calls in waits if calls) == 3, waits
