"""What an admin may do on the page of all apps."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from redis.asyncio import Redis

from faust_redis import partition_for_key
from faust_redis.consuming import holds
from faust_redis.redis import execute
from faust_redis.testing import Keys, encode, eventually
from faust_redis.watching import operating
from tests.apps import MakeApp, collecting, running, send_all
from tests.conftest import ServePage
from tests.test_watching_page import ADMIN, SECRET

KEYS = Keys()
TRACE = "0af7651916cd43dd8448eb211c80319c"
Client = TestClient[web.Request, web.Application]


async def post(client: Client, path: str, body: Any, status: int = 200) -> Any:
    async with client.post(path, json=body, headers=ADMIN) as response:
        answer = await response.json()
        assert response.status == status, answer
        return answer


async def search(client: Client, **query: str) -> Any:
    async with client.get("/api/search", params={"topic": "orders", **query}, headers=ADMIN) as response:
        assert response.status == 200
        return await response.json()


async def declare(redis: Redis, partitions: int = 1, retention: int = 0) -> None:
    await redis.hset(KEYS.topic("orders"), mapping={"partitions": partitions, "retention": retention})


async def add(redis: Redis, key: bytes, value: bytes, headers: dict[str, bytes], partition: int = 0) -> None:
    stream = KEYS.stream(("orders", partition))
    await execute(redis, "XADD", stream, "0-*", *encode(key, value, headers, None))


async def add_letter(redis: Redis, group: str, error: str) -> None:
    facts = ("group", group, "offset", "0-1", "attempts", 5, "error", error)
    await execute(
        redis, "XADD", KEYS.dead(("orders", 0)), "*", *encode(b"k", error.encode(), None, None), *facts
    )


async def test_dead_letters_are_replayed_as_the_preview_has_shown_them(
    serve_page: ServePage, streams: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await declare(streams)
    for group, error in (("shop", "ValueError: 1"), ("stats", "ValueError: 2"), ("shop", "KeyError: 3")):
        await add_letter(streams, group, error)
    client = await serve_page(admin_token=SECRET)

    preview = await post(client, "/api/dead/preview", {"topic": "orders", "error": "ValueError"})
    assert preview["groups"] == {"shop": 1, "stats": 1}
    assert (preview["errors"], preview["more"]) == ({"ValueError": 2}, False)
    assert await streams.xlen(KEYS.dead(("orders", 0))) == 3
    of_shop = await post(client, "/api/dead/preview", {"topic": "orders", "group": "shop"})
    assert len(of_shop["ids"]) == 2

    with caplog.at_level(logging.INFO, "faust_redis.watching.actions"):
        done = await post(client, "/api/dead/replay", {"ids": [*preview["ids"], "orders:0:1-0"]})
    assert done == {"done": 2, "missing": ["orders:0:1-0"]}
    replayed: Any = await streams.xrange(KEYS.stream(("orders", 0)))
    assert [fields[b"v"] for _, fields in replayed] == [b"ValueError: 1", b"ValueError: 2"]
    assert "admin action replay from 127.0.0.1: letters=2" in caplog.text
    await post(client, "/api/dead/drop", {"ids": of_shop["ids"]})
    assert await streams.xlen(KEYS.dead(("orders", 0))) == 0


async def test_entries_are_found_by_key_text_and_trace(serve_page: ServePage, streams: Redis) -> None:
    await declare(streams, partitions=4)
    place = partition_for_key(b"ada", 4)
    await add(
        streams,
        b"ada",
        b'{"item": "tea"}',
        {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01".encode()},
        place,
    )
    for number in range(4):
        await add(streams, b"bob", b'{"item": "milk"}', {}, number)
    await execute(streams, "XADD", KEYS.stream(("orders", 0)), "0-*", "t", "not a time", "v", "tea")
    client = await serve_page(admin_token=SECRET)

    for query in ({"key": "ada"}, {"text": "tea"}, {"trace": TRACE}):
        found = await search(client, **query)
        assert [(hit["partition"], hit["key"]) for hit in found["hits"]] == [(place, "ada")], query
        assert found["cursor"] is None
    assert len((await search(client, text="milk"))["hits"]) == 4


async def test_a_search_goes_on_where_its_last_part_ended(
    serve_page: ServePage, streams: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "STEP", 7)
    monkeypatch.setattr(operating, "SEARCHED", 20)
    await declare(streams, partitions=2)
    for number in range(60):
        await add(streams, b"k", b"%d" % number, {}, number % 2)
    client = await serve_page(admin_token=SECRET)

    for text, expected in (("7", 6), ("", 60)):
        found: list[Any] = []
        cursor: dict[str, str] = {}
        parts = 0
        while parts == 0 or cursor:
            page = await search(client, **({"text": text} if text else {"key": "k"}), **cursor)
            found += [(hit["partition"], hit["offset"]) for hit in page["hits"]]
            cursor, parts = ({"cursor": page["cursor"]} if page["cursor"] else {}), parts + 1
            assert page["searched"] <= 27
        assert len(found) == len(set(found)) == expected
        assert parts > 2


async def test_the_offsets_of_a_stopped_app_are_moved_where_a_topic_keeps_its_log(
    serve_page: ServePage, streams: Redis
) -> None:
    await declare(streams, retention=3_600_000)
    stream = KEYS.stream(("orders", 0))
    for number in range(10):
        await add(streams, b"k", b"%d" % number, {})
    await execute(streams, "XGROUP", "CREATE", stream, "shop", "0")
    await execute(streams, "XREADGROUP", "GROUP", "shop", "w", "COUNT", 6, "STREAMS", stream, ">")
    await execute(streams, "XACK", stream, "shop", *(f"0-{number}" for number in range(1, 5)))
    client = await serve_page(admin_token=SECRET)
    asked = {"app": "shop", "topic": "orders"}

    previewed = await post(client, "/api/offsets", {**asked, "to": "earliest", "preview": True})
    assert previewed == {"moves": [{"partition": 0, "before": 5, "after": 1}], "moved": False}
    assert (await streams.xpending(stream, "shop"))["pending"] == 2
    for to, left in (("earliest", 10), ("7", 4), ("latest", 0), ("99", 0), ("0", 10)):
        assert (await post(client, "/api/offsets", {**asked, "to": to}))["moved"]
        read = await execute(streams, "XREADGROUP", "GROUP", "shop", "w", "STREAMS", stream, ">")
        assert (len(read[0][1]) if read else 0) == left


async def test_offsets_stay_where_a_move_would_lose_or_double_messages(
    serve_page: ServePage, streams: Redis
) -> None:
    client = await serve_page(admin_token=SECRET)
    asked = {"app": "shop", "topic": "orders", "to": "latest"}
    await declare(streams)
    assert "keeps no entries" in (await post(client, "/api/offsets", asked, 409))["detail"]
    await declare(streams, retention=3_600_000)
    assert "neither" in (await post(client, "/api/offsets", {**asked, "to": "x"}, 409))["detail"]
    await streams.zadd(KEYS.group("shop").heartbeats, {"w1": 1})
    assert "stop them first" in (await post(client, "/api/offsets", asked, 409))["detail"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"app": "shp", "topic": "orders"}, "no app 'shp' has had a worker here"),
        ({"app": "shop", "topic": "order"}, "there is no topic 'order'"),
        ({"app": "shop", "topic": "orders", "partition": 9}, "has the partitions 0 to"),
    ],
)
async def test_a_pause_with_a_typo_is_refused(
    serve_page: ServePage, streams: Redis, place: dict[str, Any], reason: str
) -> None:
    client = await serve_page(admin_token=SECRET)
    await declare(streams)
    await streams.zadd(KEYS.group("shop").heartbeats, {"w1": 1})

    assert reason in (await post(client, "/api/pause", place, 409))["detail"]


@pytest.mark.parametrize("whole", [True, False], ids=["a topic", "a partition"])
async def test_what_is_paused_keeps_its_backlog_until_it_is_resumed(
    serve_page: ServePage,
    make_app: MakeApp,
    streams: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    whole: bool,
) -> None:
    monkeypatch.setattr(holds, "INTERVAL", 0.05)
    app = make_app()
    topic, got = collecting(app, "numbers")
    client = await serve_page(admin_token=SECRET)
    place = {"app": "streams", "topic": "numbers", **({} if whole else {"partition": 0})}

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: got == [1], "the first number")
        assert (await post(client, "/api/pause", place))["changed"]
        await eventually(lambda: "paused by an operator: numbers" in caplog.text, "the worker to pause")
        numbers = itertools.count(2)

        async def grows() -> bool:
            await send_all(topic, next(numbers))  # a read that was open may still bring the first
            (group,) = await streams.xinfo_groups(KEYS.stream(("numbers", 0)))
            return int(group["lag"]) >= 3

        await eventually(grows, "a backlog")
        before = list(got)

        async def is_shown() -> bool:
            async with client.get("/api/watch") as response:
                apps = (await response.json())["apps"]
            return [(app["state"], app["lag"] >= 3) for app in apps] == [("paused", True)]

        await eventually(is_shown, "the pause on the page")
        assert got == before
        assert (await post(client, "/api/resume", place))["changed"]
        everything = list(range(1, next(numbers)))
        await eventually(lambda: got == everything, "all numbers, in order")
        assert not (await post(client, "/api/resume", place))["changed"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pause"),
        ("POST", "/api/resume"),
        ("GET", "/api/search?topic=orders&key=k"),
        ("POST", "/api/dead/preview"),
        ("POST", "/api/dead/replay"),
        ("POST", "/api/dead/drop"),
        ("POST", "/api/offsets"),
    ],
)
async def test_every_action_takes_the_token(serve_page: ServePage, method: str, path: str) -> None:
    client = await serve_page(admin_token=SECRET)
    async with client.request(method, path, json={}) as response:
        assert response.status == 403
    async with client.request(method, path, json=[], headers=ADMIN) as response:
        assert response.status == (200 if method == "GET" else 400)
