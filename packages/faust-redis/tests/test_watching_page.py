"""The page of all apps: who may see it, and what it gives away."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from faust_redis import BrokerAddressError
from faust_redis.redis import execute
from faust_redis.testing import Keys, encode
from faust_redis.watching import access, watch_app
from tests.conftest import ServePage

KEYS = Keys()
SECRET = "a-secret-of-sixteen"
ADMIN = {"Authorization": f"Bearer {SECRET}"}


async def add_order(redis: Redis) -> None:
    await redis.hset(KEYS.topic("orders"), mapping={"partitions": 1})
    stream = KEYS.stream(("orders", 0))
    await execute(redis, "XADD", stream, "0-*", *encode(b"ada", b'{"pin": "sesame"}', {"h": b"1"}, None))
    facts = ("group", "shop", "offset", "0-1", "attempts", 5, "error", "ValueError: pin sesame")
    await execute(redis, "XADD", KEYS.dead(("orders", 0)), "*", *encode(b"ada", b"\xff", None, None), *facts)


async def test_the_page_its_files_and_its_figures_are_served_below_any_path(
    serve_page: ServePage, streams: Redis
) -> None:
    await add_order(streams)
    for prefix in ("", "/deep/faust"):
        client = await serve_page(prefix=prefix)
        for path in ("/", "/page/main.js", "/page/base.css", "/api/watch", "/api/history", "/metrics"):
            async with client.get(prefix + path) as response:
                assert response.status == 200, path
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    async with client.get("/deep/faust/api/watch") as response:
        snapshot = await response.json()
    assert [topic["name"] for topic in snapshot["topics"]] == ["orders"]


async def test_metrics_hold_the_figures(serve_page: ServePage, streams: Redis) -> None:
    await add_order(streams)
    await execute(streams, "XGROUP", "CREATE", KEYS.stream(("orders", 0)), 'a "b"\\', "0")
    client = await serve_page()
    async with client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        found = {
            sample.name: (sample.labels, sample.value) for family in families for sample in family.samples
        }
    assert found["faust_redis_lag"] == ({"app": 'a "b"\\', "topic": "orders", "partition": "0"}, 1.0)
    assert found["faust_redis_dead_letters"] == ({"topic": "orders"}, 1.0)


async def test_content_is_shown_with_the_admin_token_only(serve_page: ServePage, streams: Redis) -> None:
    await add_order(streams)
    client = await serve_page(admin_token=SECRET)
    paths = ("/api/entries?topic=orders&partition=0", "/api/dead?topic=orders")
    for path in paths:
        async with client.get(path) as response:
            assert "sesame" not in (text := await response.text())
            assert "ada" not in text
    async with client.get(paths[0], headers=ADMIN) as response:
        (entry,) = (await response.json())["entries"]
    assert (entry["message"], entry["key"], entry["headers"]) == ({"pin": "sesame"}, "ada", {"h": "1"})
    async with client.get(paths[1], headers=ADMIN) as response:
        (letter,) = (await response.json())["letters"]
    assert (letter["message"], letter["error"]) == ("\\xff", "ValueError: pin sesame")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "faust.example"}, 200),
        ({"Host": "a.localhost:80"}, 200),
        ({"X-Forwarded-For": "192.0.2.1"}, 403),
        ({"X-Forwarded-For": "192.0.2.1", **ADMIN}, 200),
        ({"Authorization": "Bearer wrong", "Via": "1.1 proxy"}, 403),
        ({"Authorization": f"Basic {SECRET}", "Via": "1.1 proxy"}, 403),
    ],
)
async def test_strangers_and_other_names_are_refused(
    serve_page: ServePage, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int
) -> None:
    monkeypatch.setattr(access, "WRONG_TOKEN_DELAY", 0.0)
    client = await serve_page(admin_token=SECRET, hosts=["faust.example"])
    async with client.get("/api/watch", headers=headers) as response:
        assert response.status == status
        assert "detail" in await response.json() or status == 200


async def test_an_address_that_guesses_has_to_wait(
    serve_page: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "WRONG_TOKEN_DELAY", 0.0)
    client = await serve_page(admin_token=SECRET)
    given = {"Authorization": "Bearer wrong"}
    statuses = []
    for _ in range(access.ATTEMPTS + 1):
        async with client.get("/api/access", headers=given) as response:
            statuses.append(response.status)
    assert statuses == [403] * access.ATTEMPTS + [429]
    async with client.get("/api/access", headers=ADMIN) as response:
        assert response.status == 429


@pytest.mark.parametrize(
    "path",
    [
        "/api/entries",
        "/api/entries?topic=orders&partition=x",
        "/api/entries?topic=orders&before=99999999999999999999",
        "/api/dead",
        "/api/dead?topic=orders&before=x",
    ],
)
async def test_a_wrong_question_is_named(serve_page: ServePage, path: str) -> None:
    client = await serve_page()
    async with client.get(path) as response:
        assert response.status == 400
        assert (await response.json())["detail"]


async def test_without_redis_the_page_says_so() -> None:
    app: Any = watch_app("redis://127.0.0.1:1")
    async with TestClient(TestServer(app)) as client, client.get("/api/watch") as response:
        assert response.status == 503
        assert "Redis does not answer" in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"redis_url": "http://x"}, BrokerAddressError),
        ({"redis_url": "redis://x", "admin_token": "short"}, ValueError),
        ({"redis_url": "redis://x", "namespace": "a:b"}, ValueError),
    ],
)
def test_a_wrong_setting_is_refused_at_once(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        watch_app(**given)


def test_an_application_can_be_made_before_any_loop_runs() -> None:
    assert isinstance(watch_app("redis://localhost?fast_path=false"), web.Application)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["http://x"], "its scheme is not one of"),
        (["redis://localhost?name_space=shop"], "did you mean namespace?"),
        (["redis://localhost", "--port", "99999"], "99999 is not a port: 1 to 65535"),
        (["redis://localhost", "--host", "192.0.2.1"], "port 6067 of 192.0.2.1 can't be used"),
    ],
)
def test_the_command_names_a_wrong_argument_in_one_line(arguments: list[str], reason: str) -> None:
    command = [sys.executable, "-m", "faust_redis.watching", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert ended.returncode == 2
    assert reason in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
