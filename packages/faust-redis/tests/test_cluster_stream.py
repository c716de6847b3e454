"""Many commands in one round trip on a cluster: split by node, in order for each key, redirects followed."""

from __future__ import annotations

import asyncio

import pytest
from redis import exceptions

from faust_redis.redis import KeyConnection, execute_in_steps, execute_many
from faust_redis.redis.servers import Server
from faust_redis.redis.slots import slot_of
from faust_redis.testing import Cluster

pytestmark = pytest.mark.processes


async def test_every_reply_is_in_the_place_of_its_command(sharded: Server, shards: Cluster) -> None:
    names = [f"key-{number}" for number in range(60)]
    assert len({shards.holder(name).port for name in names[:10]}) > 1

    written = await sharded.stream.execute_many([("SET", name, name) for name in names])
    read = await sharded.stream.execute_many([("GET", name) for name in names])

    assert written == [b"OK"] * 60
    assert read == [name.encode() for name in names]


async def test_commands_for_one_key_keep_their_order_also_between_calls(sharded: Server) -> None:
    await sharded.stream.execute("PING")  # the connections to the other nodes are still to come
    calls = [
        sharded.stream.execute_many([("RPUSH", f"list-{key}", number) for key in range(6)])
        for number in range(50)
    ]
    await asyncio.gather(*calls)

    for key in range(6):
        assert await sharded.stream.execute("LRANGE", f"list-{key}", 0, -1) == [b"%d" % n for n in range(50)]


async def test_an_error_of_one_command_leaves_the_others_alone(sharded: Server) -> None:
    await sharded.stream.execute("SET", "text", "abc")

    first, refused, crossing = await sharded.stream.execute_many(
        [("GET", "text"), ("INCR", "text"), ("MGET", "a", "b")]
    )

    assert first == b"abc"
    assert isinstance(refused, exceptions.ResponseError)
    assert "same slot" in str(crossing)


async def test_a_moved_slot_is_followed_and_remembered(sharded: Server, shards: Cluster) -> None:
    await sharded.stream.execute("SET", "key", "before")
    shards.move("key")

    replies = await sharded.stream.execute_many(
        [("APPEND", "key", "-a"), ("APPEND", "key", "-b"), ("GET", "key")]
    )

    assert replies == [8, 10, b"before-a-b"]


async def test_commands_are_answered_while_a_slot_moves(sharded: Server, shards: Cluster) -> None:
    await sharded.stream.execute("SET", "{tag}here", "1")
    with shards.moving("{tag}"):
        replies = await sharded.stream.execute_many(
            [("GET", "{tag}here"), ("SET", "{tag}new", "2"), ("GET", "{tag}new"), ("SET", "elsewhere", "3")]
        )

    assert replies == [b"1", b"OK", b"2", b"OK"]


async def test_a_script_is_loaded_on_every_primary(sharded: Server) -> None:
    names = [f"key-{number}" for number in range(30)]
    text = "return redis.call('INCR', KEYS[1])"
    (sha,) = await sharded.stream.execute_many([("SCRIPT", "LOAD", text)])

    replies = await sharded.stream.execute_many([("EVALSHA", sha, 1, name) for name in names])

    assert replies == [1] * 30


async def test_every_primary_is_asked(sharded: Server) -> None:
    sizes = await sharded.stream.execute_on_primaries("DBSIZE")

    assert sizes == [0, 0, 0]


async def test_steps_are_executed_one_after_the_other(sharded: Server) -> None:
    steps = [[("SET", f"key-{number}", step) for number in range(20)] for step in range(3)]

    written, *_ = await execute_in_steps(sharded.commands, *steps)

    assert written == [b"OK"] * 20
    values = await execute_many(sharded.commands, [("GET", f"key-{number}") for number in range(20)])
    assert values == [b"2"] * 20
    with pytest.raises(exceptions.ResponseError):
        await execute_in_steps(sharded.commands, [("LPUSH", "key-1", "x")], [("SET", "never", "1")])
    assert await sharded.stream.execute("EXISTS", "never") == 0


async def test_a_blocking_read_follows_its_key_to_another_node(sharded: Server, shards: Cluster) -> None:
    connection = KeyConnection(sharded, "stream")
    await sharded.stream.execute("XADD", "stream", "1-1", "f", "v")
    read = ("XREAD", "BLOCK", 100, "STREAMS", "stream", "0")
    assert (await connection.execute(*read))[0][1][0][0] == b"1-1"

    shards.move("stream")

    with pytest.raises(exceptions.MovedError):
        await connection.execute(*read)
    assert (await connection.execute(*read))[0][1][0][0] == b"1-1"
    await connection.close()


async def test_a_dead_primary_fails_its_own_commands_alone(shards: Cluster, sharded: Server) -> None:
    names = [f"key-{number}" for number in range(12)]
    await sharded.stream.execute_many([("SET", name, "1") for name in names])
    killed = shards.holder(names[0])
    killed.kill()
    try:
        replies = await sharded.stream.execute_many([("GET", name) for name in names])
    finally:
        killed.start()

    lost = {name for name, reply in zip(names, replies, strict=True) if isinstance(reply, Exception)}
    assert names[0] in lost
    assert len(lost) < len(names)
    assert {slot_of(("GET", name)) for name in lost}.isdisjoint(
        slot_of(("GET", name)) for name in set(names) - lost
    )
