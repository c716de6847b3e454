"""`parley mcp`, asked by the client of the protocol's own package."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from redis.asyncio import Redis

from faust_redis.redis import execute
from faust_redis.testing import Keys, encode
from parley.cli import main

KEYS = Keys()
TRACE = "0af7651916cd43dd8448eb211c80319c"
READING = {"apps", "app", "topics", "dead_letters", "preview_replay", "trace", "past"}


@asynccontextmanager
async def session(url: str, folder: Path, *options: str) -> AsyncIterator[ClientSession]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = ["-m", "parley.cli", "mcp", "--redis", url, *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=folder)
    async with stdio_client(server) as (reading, writing), ClientSession(reading, writing) as client:
        await client.initialize()
        yield client


async def call(client: ClientSession, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    return answer.structured_content


async def fill(redis: Redis) -> None:
    await redis.hset(KEYS.topic("orders"), mapping={"partitions": 1})
    await redis.hset(KEYS.group("shop").state, mapping={"generation": 7, "since": 1000})
    stream, place = KEYS.stream(("orders", 0)), ("orders", 0)
    await execute(redis, "XGROUP", "CREATE", stream, "shop", "0", "MKSTREAM")
    await redis.set(KEYS.lease(place, "shop"), "7:w1")
    traced = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01".encode()}
    await execute(redis, "XADD", stream, "0-*", *encode(b"ada", b"secret", traced, None))
    facts = ("group", "shop", "offset", "0-1", "attempts", 5, "error", "ValueError: secret")
    await execute(redis, "XADD", KEYS.dead(place), "*", *encode(b"ada", b"secret", None, None), *facts)


async def test_a_client_reads_apps_leases_dead_letters_and_traces_but_no_content(
    redis_url: str, tmp_path: Path
) -> None:
    async with Redis.from_url(redis_url) as redis, session(redis_url, tmp_path) as client:
        await fill(redis)
        assert {tool.name for tool in (await client.list_tools()).tools} == READING

        (app,) = (await call(client, "apps"))["apps"]
        assert (app["name"], app["state"], app["generation"], app["lag"]) == ("shop", "stopped", 7, 1)
        shop = await call(client, "app", name="shop")
        assert [partition["owner"] for partition in shop["reads"][0]["partitions"]] == ["w1"]
        (topic,) = (await call(client, "topics"))["topics"]
        assert (topic["readers"], topic["dead_letters"]) == (["shop"], 1)
        letters = await call(client, "dead_letters", topic="orders")
        preview = await call(client, "preview_replay", topic="orders", app="shop")
        found = await call(client, "trace", topic="orders", trace_id=TRACE)
        assert [letter["error"] for letter in letters["letters"]] == ["ValueError"]
        assert preview["ids"] == [letters["letters"][0]["id"]]
        assert [entry["offset"] for entry in found["entries"]] == [1]
        assert "secret" not in str([app, shop, letters, preview, found])
        assert (await client.call_tool("app", {"name": "nobody"})).is_error


async def test_content_and_changes_take_a_word_of_the_operator(redis_url: str, tmp_path: Path) -> None:
    async with (
        Redis.from_url(redis_url) as redis,
        session(redis_url, tmp_path, "--private", "--allow-changes") as client,
    ):
        await fill(redis)
        found = await call(client, "trace", topic="orders", trace_id=TRACE)
        assert [entry["message"] for entry in found["entries"]] == ["secret"]
        ids = (await call(client, "preview_replay", topic="orders"))["ids"]
        assert await call(client, "replay_dead_letters", ids=ids) == {"replayed": 1, "missing": []}
        assert await redis.xlen(KEYS.dead(("orders", 0))) == 0


def test_without_the_package_the_command_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(SystemExit):
        main(["mcp", "--redis", "redis://127.0.0.1:1"])
    assert capsys.readouterr().err == "parley: run: pip install 'parley[mcp]'\n"
