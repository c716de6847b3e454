"""The connection for what every message needs, against a real Redis."""

from __future__ import annotations

import asyncio

import pytest
from redis import exceptions

from faust_redis.redis import connection as connection_module
from faust_redis.redis.connection import StreamConnection
from faust_redis.testing import RedisServer
from tests.conftest import pool_of


async def test_what_many_tasks_ask_at_once_is_answered_to_each(stream_connection: StreamConnection) -> None:
    asked = [str(number) for number in range(200)]
    answers = await asyncio.gather(*(stream_connection.execute("ECHO", text) for text in asked))
    assert [answer.decode() for answer in answers] == asked


async def test_commands_are_executed_in_the_order_of_the_calls(stream_connection: StreamConnection) -> None:
    calls = [
        stream_connection.execute_many([("RPUSH", "list", number), ("LLEN", "list")]) for number in range(50)
    ]
    lengths = [replies[1] for replies in await asyncio.gather(*calls)]
    assert lengths == list(range(1, 51))
    assert await stream_connection.execute("LRANGE", "list", 0, -1) == [
        b"%d" % number for number in range(50)
    ]


async def test_a_refused_command_does_not_disturb_the_others(stream_connection: StreamConnection) -> None:
    await stream_connection.execute("SET", "text", "abc")
    first, refused, last = await stream_connection.execute_many(
        [("GET", "text"), ("INCR", "text"), ("STRLEN", "text")]
    )
    assert (first, last) == (b"abc", 3)
    assert isinstance(refused, exceptions.ResponseError)
    with pytest.raises(exceptions.ResponseError, match="not an integer"):
        await stream_connection.execute("INCR", "text")


async def test_a_reply_that_nobody_waits_for_any_more_goes_to_nobody_else(
    stream_connection: StreamConnection,
) -> None:
    await stream_connection.execute("PING")
    given_up = asyncio.create_task(stream_connection.execute("ECHO", "theirs"))
    await asyncio.sleep(0)  # it has asked
    given_up.cancel()
    assert await stream_connection.execute("ECHO", "mine") == b"mine"


async def test_a_large_reply_comes_whole(stream_connection: StreamConnection) -> None:
    text = "x" * 5_000_000
    assert await stream_connection.execute("ECHO", text) == text.encode()


async def test_a_broken_connection_tells_who_waits_and_is_made_again(
    stream_connection: StreamConnection, redis_url: str
) -> None:
    other = StreamConnection(pool_of(redis_url))
    number = await stream_connection.execute("CLIENT", "ID")
    waiting = asyncio.create_task(stream_connection.execute("BLPOP", "absent", 0))
    while b"blpop" not in await other.execute("CLIENT", "LIST", "ID", number):
        pass
    await other.execute("CLIENT", "KILL", "ID", number)
    with pytest.raises(exceptions.ConnectionError):
        await waiting
    assert await stream_connection.execute("PING") == b"PONG"
    assert await stream_connection.execute("CLIENT", "ID") != number
    await other.close()


async def test_a_redis_that_hangs_is_given_up_in_time(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "SOCKET_TIMEOUT", 0.2)
    connection = StreamConnection(pool_of(own_redis.url))
    assert await connection.execute("PING") == b"PONG"
    with pytest.raises(exceptions.TimeoutError):
        await connection.execute("BLPOP", "absent", 0)
    assert await connection.execute("PING") == b"PONG"
    await connection.close()


async def test_replies_that_came_before_the_connection_broke_count(
    stream_connection: StreamConnection,
) -> None:
    end_all = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
    first, _, last = await stream_connection.execute_many([("ECHO", "one"), end_all, ("ECHO", "two")])
    assert first == b"one"
    assert isinstance(last, exceptions.ConnectionError)


async def test_a_reply_that_takes_long_is_waited_for_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "SOCKET_TIMEOUT", 0.5)

    async def say_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = b""
        while b"ECHO" not in asked:
            asked = await reader.read(65536)
            writer.write(b"+OK\r\n" * asked.count(b"SETINFO"))  # to what redis-py says of itself
        for piece in (b"$10\r\n", *[b"x"] * 10, b"\r\n"):
            await asyncio.sleep(0.06)
            writer.write(piece)
        writer.close()

    async with await asyncio.start_server(say_slowly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = StreamConnection(pool_of(f"redis://127.0.0.1:{port}"))
        assert await connection.execute("ECHO", "x" * 10) == b"x" * 10
        await connection.close()


async def test_a_redis_that_died_is_an_error_and_found_when_it_is_back(own_redis: RedisServer) -> None:
    connection = StreamConnection(pool_of(own_redis.url))
    await connection.execute("PING")
    assert own_redis.process is not None
    own_redis.process.kill()
    own_redis.process.wait()
    for _ in range(2):  # the one that is lost, and the one that finds nobody
        with pytest.raises(exceptions.ConnectionError):
            await connection.execute("PING")
    own_redis.spawn()
    own_redis.wait_ready()
    assert await connection.execute("PING") == b"PONG"
    await connection.close()
