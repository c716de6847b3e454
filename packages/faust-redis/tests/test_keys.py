"""The keys of the transport, and namespaces, which let services share one Redis."""

from __future__ import annotations

import itertools

import faust
import pytest
import redis
from redis.crc import key_slot

from faust_redis import DeadLetters, Inspector, Options, configure
from faust_redis.log.keys import Keys
from faust_redis.redis import server_from_urls
from faust_redis.testing import eventually
from tests.numbers import send_numbers
from tests.worker import StartWorker

PARTITION = ("orders", 3)


def all_keys(keys: Keys) -> list[str]:
    """Return one key of each kind."""
    return [
        keys.stream(PARTITION),
        keys.lease(PARTITION, "shop"),
        keys.attempts(PARTITION, "shop"),
        keys.index(PARTITION),
        keys.tombstones(PARTITION),
        keys.dead(PARTITION),
        keys.topic("orders"),
        *keys.group("shop"),
    ]


def test_keys_without_a_namespace_stay_as_existing_data_has_them() -> None:
    assert all_keys(Keys()) == [
        "{orders:3}",
        "{orders:3}:lease:shop",
        "{orders:3}:attempts:shop",
        "{orders:3}:index",
        "{orders:3}:tombstones",
        "dead:{orders:3}",
        "faust:topic:orders",
        "faust:{shop}:members",
        "faust:{shop}:heartbeats",
        "faust:{shop}:released",
        "faust:{shop}:plan",
        "faust:{shop}:state",
        "faust:{shop}:signal",
        "faust:{shop}:cooperative",
    ]


def test_every_key_of_a_namespace_begins_with_it() -> None:
    assert all_keys(Keys("eu-1")) == [f"eu-1:{key}" for key in all_keys(Keys())]


def test_keys_of_one_partition_and_of_one_group_share_a_slot_of_a_cluster_in_a_namespace_as_well() -> None:
    for keys in (Keys(), Keys("eu-1")):
        partition = [key for key in all_keys(keys) if "orders:3" in key]
        for together in (partition, keys.group("shop")):
            assert len({key_slot(key.encode()) for key in together}) == 1


def test_two_namespaces_have_no_key_in_common() -> None:
    for one, other in itertools.combinations([Keys(), Keys("a"), Keys("b"), Keys("a.b")], 2):
        assert not set(all_keys(one)) & set(all_keys(other))


@pytest.mark.parametrize("name", ["dead", "faust", "a:b", "{a}", "a b", "x" * 65])
def test_a_namespace_that_would_mix_keys_up_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Keys(name)


async def test_two_services_with_the_same_topics_and_id_share_one_redis(
    redis_url: str, notes: redis.Redis, start_worker: StartWorker
) -> None:
    for namespace in ("one", "two"):
        start_worker(f"{redis_url}?namespace={namespace}", notes_url=redis_url)
    await send_numbers(f"{redis_url}?namespace=two", 20)

    await eventually(lambda: notes.llen("doubled") == 20, "the numbers of one service")
    written = list(notes.scan_iter("*"))
    assert {key.partition(":")[0] for key in written} == {"one", "two", "seen", "doubled"}
    assert len(notes.lrange("seen", 0, -1)) == 20


async def test_dead_letters_and_inspection_look_into_one_namespace(redis_url: str) -> None:
    app = faust.App("shop", broker=redis_url, topic_partitions=1)
    configure(app, Options(namespace="two"))
    await app.maybe_start_producer()
    await (await app.topic("orders", value_serializer="raw").send(value=b"tea"))
    await app.producer.stop()
    server = server_from_urls([redis_url])
    try:
        inside, outside = Inspector(server.commands, namespace="two"), Inspector(server.commands)
        assert list(await inside.topics()) == ["orders"]
        assert not await outside.topics()
        assert (await inside.lengths({"orders": 1})) == {"orders": 1}
        assert await DeadLetters(server.commands, namespace="two").counts(["orders"]) == {"orders": 0}
        assert await DeadLetters(server.commands, namespace="two").partitions("orders") == 1
        assert await DeadLetters(server.commands).partitions("orders") == 0
    finally:
        await server.aclose()
