"""A web process during an outage of Redis, and afterwards."""

from __future__ import annotations

import pytest

from faust_redis.testing import eventually
from parley.local.embedded import EmbeddedRedis
from tests.web.conftest import Node, ServeNode, frame, plain
from web import limits


def stop(server: EmbeddedRedis) -> None:
    """End a server the hard way."""
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def start(server: EmbeddedRedis) -> None:
    """Start a server again where it was."""
    server.spawn()
    server.wait_ready()


async def status(node: Node) -> int:
    """Return the status of /readyz."""
    async with node.http.get("/readyz") as response:
        return response.status


async def test_sockets_outlive_an_outage_and_miss_nothing(own_redis: EmbeddedRedis, serve: ServeNode) -> None:
    node = await serve(url=own_redis.url, staffed=True)
    await node.redis.config_set("appendfsync", "always")  # a killed server keeps what it confirmed
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)

    stop(own_redis)

    async def unready() -> bool:
        return await status(node) == 503

    await eventually(unready, "the process is not ready")
    start(own_redis)

    async def ready() -> bool:
        return await status(node) == 200

    kept = await node.finish(token, "one", "to one")  # not published: deliver died with Redis
    assert await socket.answer() == plain(kept)
    await eventually(ready, "the process is ready again")
    await node.joined(token)

    async def reached() -> bool:
        return await node.publish(token, frame(2)) == 1

    await eventually(reached, "frames reach the node")
    assert (await socket.answer())["id"] == "frame-2"


@pytest.mark.slow
async def test_an_emptied_redis_leaves_the_process_working(
    own_redis: EmbeddedRedis, serve: ServeNode
) -> None:
    node = await serve(url=own_redis.url, staffed=True)
    lost = await node.client.token()
    socket = await node.client.open(lost)
    await node.joined(lost)
    await node.redis.flushall()

    async def present() -> bool:
        return len(await node.redis.keys("web:*")) == 1

    await eventually(present, "the node's stream is there again")
    token = await node.client.token()
    other = await node.client.open(token)
    await node.joined(token)
    assert await node.publish(token, frame(1)) == 1
    assert (await other.answer())["id"] == "frame-1"
    assert not socket.socket.closed


async def test_a_handshake_without_redis_is_refused_in_time(
    own_redis: EmbeddedRedis, serve: ServeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REDIS_PATIENCE_SECONDS", 0.2)
    node = await serve(url=own_redis.url, staffed=True)
    token = await node.client.token()
    stop(own_redis)
    async with node.http.get("/chat", params={"token": token}) as response:
        assert response.status == 503
        assert "detail" in await response.json()
