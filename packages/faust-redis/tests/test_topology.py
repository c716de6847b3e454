"""Primaries are found while servers that could name them are silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import exceptions

from faust_redis.redis import connection as connection_module
from faust_redis.redis.commands import PEER_TIMEOUT, SOCKET_TIMEOUT, execute
from faust_redis.redis.scripts import ACK, ScriptRunner
from faust_redis.redis.servers import server_at
from faust_redis.testing import HOST, Cluster, RedisServer, eventually, sentinel

#: Seconds that finding a primary may take: far less than the time-out of a silent server.
BOUND_SECONDS = 2.0


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Run a server that takes connections and never answers, and yield its port."""
    ended = asyncio.Event()

    async def be_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(be_silent, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ended.set()
        server.close()


async def test_a_silent_node_does_not_delay_the_map_of_a_cluster(redis_cluster: Cluster) -> None:
    async with silent_server() as silent_port:
        link = server_at([f"redis+cluster://{HOST}:{silent_port}", *redis_cluster.url.split(";")])
        async with asyncio.timeout(BOUND_SECONDS):
            await link.stream.execute("SET", "found", "1")
            assert await link.stream.execute("GET", "found") == b"1"
        await link.aclose()


async def test_a_silent_sentinel_does_not_delay_the_primary(tmp_path: Path, redis_url: str) -> None:
    port = urlsplit(redis_url).port
    with RedisServer(tmp_path, f"sentinel monitor streams {HOST} {port} 1", sentinel=True) as watcher:

        async def is_known() -> bool:
            return bool(watcher.call("SENTINEL MASTERS"))

        await eventually(is_known, "the primary")
        service = "streams/0"
        async with silent_server() as silent_port:
            silent = f"redis+sentinel://{HOST}:{silent_port}/{service}"
            link = server_at([silent, f"redis+sentinel://{HOST}:{watcher.port}/{service}"])
            async with asyncio.timeout(BOUND_SECONDS):
                assert await link.stream.execute("PING") == b"PONG"
            await link.aclose()


async def test_a_connection_ends_when_the_host_of_its_peer_is_gone(redis_url: str) -> None:
    link = server_at([redis_url])
    connection = link.commands.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    await connection.connect()
    opened = connection._writer.get_extra_info("socket")
    idle, interval, probes = (
        opened.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )

    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == PEER_TIMEOUT * 1000
    assert idle + interval * probes == PEER_TIMEOUT
    await connection.disconnect()
    await link.aclose()


async def test_a_silent_primary_is_given_up_when_its_replica_replaces_it_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "SUSPECT_SECONDS", 0.1)
    with sentinel(tmp_path) as (url, (primary, replica)):
        link = server_at([url])
        await link.stream.execute("SET", "here", "1")
        assert await link.stream.execute("BLPOP", "absent", 1) is None
        reading = await link.blocking("stream")
        primary.freeze()
        reads = asyncio.ensure_future(reading.execute("XREAD", "BLOCK", 1000, "STREAMS", "stream", "$"))
        asked = asyncio.ensure_future(link.stream.execute("GET", "here"))

        for waiting in (reads, asked):
            with pytest.raises(exceptions.ConnectionError, match="another server has taken the place"):
                await asyncio.wait_for(waiting, SOCKET_TIMEOUT - 1)

        await link.stream.execute("SET", "here", "2")
        assert replica.call("GET", "here") == "2"
        primary.thaw()
        await reading.close()
        await link.aclose()


async def test_a_script_is_loaded_on_the_connection_that_lacks_it(redis_url: str) -> None:
    link = server_at([redis_url])
    number = await link.stream.execute("CLIENT", "ID")

    await ScriptRunner(link.commands).load(ACK)

    assert b"cmd=script|load" in await execute(link.commands, "CLIENT", "LIST", "ID", number)
    await link.aclose()
