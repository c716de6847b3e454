"""Operations that outlive an outage of Redis."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, ResponseError, TimeoutError  # noqa: A004

from parley.local.embedded import EmbeddedRedis
from pipeline.redis.client import connect, dedicated_connection, execute, retry_until_available


class Flaky:
    """An operation that fails with each of these errors, then works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.slow
async def test_an_operation_is_repeated_until_redis_is_back() -> None:
    flaky = Flaky(
        *(ConnectionError(), TimeoutError(), BusyLoadingError(), ReadOnlyError(), ConnectionResetError()),
        # Of uvloop, when the server has as many clients as it may.
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
    )
    assert await retry_until_available(flaky) == "done"
    assert flaky.calls == 7


async def test_an_error_of_the_operation_itself_is_raised_at_once() -> None:
    flaky = Flaky(ResponseError("WRONGTYPE"))
    with pytest.raises(ResponseError):
        await retry_until_available(flaky)
    assert flaky.calls == 1


async def test_an_operation_waits_for_memory_too(own_redis: EmbeddedRedis) -> None:
    client = connect(own_redis.url)
    await client.config_set("maxmemory", "1")
    waiting = asyncio.create_task(retry_until_available(lambda: client.set("key", "value")))
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()

    await client.config_set("maxmemory", "0")

    assert await waiting
    await client.aclose()


async def test_patience_ends() -> None:
    flaky = Flaky(*(ConnectionError() for _ in range(1000)))
    with pytest.raises(ConnectionError):
        await retry_until_available(flaky, patience=0.1)
    assert flaky.calls > 1


async def test_a_pool_that_is_used_up_makes_callers_wait_rather_than_fail(redis_url: str) -> None:
    client = connect(redis_url, max_connections=2)
    try:
        assert await asyncio.gather(*(client.ping() for _ in range(20))) == [True] * 20
    finally:
        await client.aclose()


async def test_commands_and_blocking_reads_go_by_a_socket_too(own_redis: EmbeddedRedis) -> None:
    client = connect(own_redis.url)
    reader = dedicated_connection(client, "nothing")
    assert own_redis.url.startswith("unix:")
    try:
        await execute(client, "SET", "name", "Ada")
        assert await client.get("name") == b"Ada"
        assert await reader.execute("XREAD", "BLOCK", 1, "STREAMS", "nothing", "$") is None
    finally:
        await reader.close()
        await client.aclose()
