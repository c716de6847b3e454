"""The HTTP calls: what the tutorial's client, a page of another origin and an orchestrator see."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from faust_redis.redis import cancel_and_wait
from faust_redis.testing import Keys, RedisServer, eventually
from pipeline.models.announcement import keep_announcing
from pipeline.settings import Settings
from tests.web.conftest import Node, ServeNode, staff

BAD_NAME = {"detail": {"loc": "name", "msg": "Enter a valid name"}}
GONE = {"detail": "Session expired or does not exist"}


async def test_the_service_says_that_it_is_online(node: Node) -> None:
    async with node.http.get("/test") as response:
        assert (response.status, await response.json()) == (200, {"msg": "API is Online"})


async def test_a_token_comes_with_an_empty_session_that_expires(node: Node) -> None:
    async with node.http.post("/token", params={"name": "Ada"}) as response:
        session = await response.json()
    assert response.status == 200
    assert uuid.UUID(session["token"]).version == 4
    assert (session["name"], session["messages"]) == ("Ada", [])
    age = datetime.now(UTC) - datetime.fromisoformat(session["session_start"])
    assert abs(age) < timedelta(seconds=10)
    assert set(session) == {"token", "messages", "name", "session_start"}
    assert 3590 < await node.redis.ttl(f"session:{{{session['token']}}}") <= 3600


async def test_a_name_may_come_as_a_form_of_either_kind(node: Node) -> None:
    multipart = aiohttp.FormData({"name": "Ada"}, default_to_multipart=True)
    for form in (aiohttp.FormData({"name": "Ada"}), multipart):
        async with node.http.post("/token", data=form) as response:
            assert (await response.json())["name"] == "Ada"


@pytest.mark.parametrize("name", ["", "   ", "\t\n", "x" * 65, None])
async def test_a_name_that_is_missing_blank_or_too_long_is_refused(node: Node, name: str | None) -> None:
    async with node.http.post("/token", params={} if name is None else {"name": name}) as response:
        assert (response.status, await response.json()) == (400, BAD_NAME)


INVISIBLE = ["\0", "\x1b", "\u202e\u2066", "\u200b", "\u200d\ufe0f", "\x7f\x85", "\u2028\u00a0", "\u3164"]


@pytest.mark.parametrize("name", INVISIBLE)
async def test_a_name_that_shows_nothing_is_none(node: Node, name: str) -> None:
    async with node.http.post("/token", params={"name": name}) as response:
        assert response.status == 400
        assert await response.json() == {"detail": {"loc": "name", "msg": "Enter a valid name"}}


@pytest.mark.parametrize(
    ("name", "stored"), [("a\0b", "ab"), ("\x1b[31mred", "[31mred"), ("\u202eevil", "evil"), ("a\nb", "a b")]
)
async def test_control_characters_are_left_out_of_a_name(node: Node, name: str, stored: str) -> None:
    assert (await node.client.session(await node.client.token(name)))["name"] == stored


@pytest.mark.parametrize("name", ["x" * 64, "Zoë 🦊", "👩\u200d💻", '"}{', "$(x)"])
async def test_any_other_name_comes_back_as_it_was(node: Node, name: str) -> None:
    token = await node.client.token(name)
    assert (await node.client.session(token))["name"] == name


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded; charset=utf-7", b"name=%2B2AA-"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"name=Ada"),
        ("application/x-www-form-urlencoded", b"name=\xed\xa0\x80\xff&%%%"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="name"; filename="f"\r\n\r\nA\r\n--x--\r\n',
        ),
        ("application/json", b'{"name": "\\ud800"}'),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused_and_breaks_nothing(
    node: Node, content_type: str, body: bytes
) -> None:
    async with node.http.post("/token", data=body, headers={"Content-Type": content_type}) as response:
        assert (response.status, await response.json()) == (400, BAD_NAME)


async def test_a_body_too_large_is_refused_in_json(node: Node) -> None:
    async with node.http.post("/token", data={"name": "x" * 100_000}) as response:
        assert response.status == 413
        assert "detail" in await response.json()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_session_is_read_again_without_what_is_internal(node: Node, method: str) -> None:
    token = await node.client.token("Ada")
    await node.finish(token, "Hi", "Hello")
    async with node.http.request(method, "/refresh_token", params={"token": token}) as response:
        session = await response.json()
    assert response.status == 200
    assert set(session) == {"token", "messages", "name", "session_start"}
    assert [message["msg"] for message in session["messages"]] == ["Human: Hi", "Bot: Hello"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", [None, "", "x", "*", str(uuid.UUID(int=4)), "a}b\r\n", "é" * 50])
async def test_an_unknown_token_is_refused(node: Node, method: str, token: str | None) -> None:
    params = {} if token is None else {"token": token}
    async with node.http.request(method, "/refresh_token", params=params) as response:
        assert (response.status, await response.json()) == (400, GONE)


async def test_an_expired_session_is_refused(serve: ServeNode) -> None:
    node = await serve(session_ttl=1)
    token = await node.client.token()

    async def refused() -> bool:
        async with node.http.get("/refresh_token", params={"token": token}) as response:
            return (response.status, await response.json()) == (400, GONE)

    await eventually(refused, "the session expires")


async def test_unknown_addresses_and_methods_fail_in_json(node: Node) -> None:
    async with node.http.get("/nowhere") as response:
        assert (response.status, await response.json()) == (404, {"detail": "Not Found"})
    async with node.http.get("/token") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_a_page_of_an_allowed_origin_may_read_the_answers(serve: ServeNode) -> None:
    origin = {"Origin": "http://localhost:3000"}
    node = await serve(app_env="development")
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
    async with node.http.options("/token", headers=origin | preflight) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "x-a"
    for params in ({"name": "Ada"}, {}):  # failures can be read as well
        async with node.http.post("/token", params=params, headers=origin) as response:
            assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
            assert response.headers["Vary"] == "Origin"


async def test_a_page_of_another_origin_may_not(node: Node) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "POST"):
        async with node.http.request(method, "/token", headers=headers) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_page_needs_nothing_that_its_policy_forbids(node: Node) -> None:
    async with node.http.get("/") as response:
        page = await response.text()
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in page.replace(" on ", "")
    needed = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(needed) == 4
    for path in (*needed, "/favicon.ico"):
        async with node.http.get(path) as response:
            assert response.status == 200, path


async def test_a_file_that_never_changes_is_kept_by_browsers(node: Node) -> None:
    async with node.http.get("/") as response:
        assert response.headers["Cache-Control"] == "no-cache"
        script = re.findall(r'src="(static/assets/[^"]+)"', await response.text())[0]
    async with node.http.get(f"/{script}") as response:
        assert "immutable" in response.headers["Cache-Control"]
    async with node.http.get("/static/assets/missing.js") as response:
        assert response.status == 404
        assert response.headers["Cache-Control"] == "no-cache"


async def test_the_page_learns_that_eliza_answers(node: Node) -> None:
    async with node.http.get("/model") as response:
        model = await response.json()
    assert (model["kind"], model["name"]) == ("eliza", "ELIZA")


async def test_the_page_learns_the_limits_that_it_has_to_respect(serve: ServeNode) -> None:
    settings = {"message_max_bytes": 100, "session_ttl": 60, "session_ttl_sliding": True}
    node = await serve(**settings)
    async with node.http.get("/model") as response:
        assert (await response.json())["limits"] == {
            "message_max_bytes": 100,
            "session_ttl_seconds": 60,
            "session_ttl_sliding": True,
        }


async def test_the_model_is_the_one_that_infer_announces_not_that_of_the_settings(node: Node) -> None:
    of_infer = Settings(hf_token="hf_0123456789")
    announcing = asyncio.create_task(keep_announcing(node.redis, of_infer))

    async def named() -> bool:
        async with node.http.get("/model") as response:
            body = await response.json()
        return (body["kind"], body["name"]) == ("chat-completions", "openai/gpt-oss-120b")

    await eventually(named, "the page names the model of infer")
    await cancel_and_wait([announcing])
    assert not [key async for key in node.redis.scan_iter("*hf_*")]


async def test_a_header_says_when_a_session_ends(node: Node) -> None:
    async with node.http.post("/token", params={"name": "Ada"}) as response:
        token = (await response.json())["token"]
        told = [response.headers["Session-Expires"]]
    for method in ("GET", "POST"):
        async with node.http.request(method, "/refresh_token", params={"token": token}) as response:
            told.append(response.headers["Session-Expires"])
    left = datetime.fromisoformat(told[0]) - datetime.now(UTC)
    assert timedelta(seconds=3590) < left <= timedelta(seconds=3600)
    assert told == [told[0]] * 3
    async with node.http.get("/refresh_token", params={"token": str(uuid.UUID(int=4))}) as response:
        assert "Session-Expires" not in response.headers


async def test_behind_a_proxy_that_keeps_its_path_everything_answers_below_it(serve: ServeNode) -> None:
    node = await serve(base_path="/parley")
    for path in ("/parley/", "/parley/model", "/parley/stages", "/parley/static/icon.svg", "/healthz"):
        async with node.http.get(path) as response:
            assert response.status == 200, path
    async with node.http.get("/parley", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (308, "/parley/")
    async with node.http.get("/parleys/") as response:
        assert response.status == 404
    token = await node.client.token()
    url = f"/parley/chat?token={token}"
    async with node.http.ws_connect(url, protocols=("parley.v1",)) as socket:
        await socket.send_str('{"type":"ping"}')
        assert await socket.receive_json() == {"type": "pong"}


async def test_a_process_is_alive_at_once_and_ready_soon(serve: ServeNode) -> None:
    node = await serve(staffed=True)
    async with node.http.get("/healthz") as response:
        assert response.status == 200

    async def ready() -> bool:
        async with node.http.get("/readyz") as response:
            return response.status == 200 and await response.json() == {"status": "ready"}

    await eventually(ready, "/readyz says ready")


async def test_a_redis_without_redisjson_is_named(serve: ServeNode, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as plain:
        node = await serve(url=plain.url, staffed=True)
        async with node.http.get("/readyz") as response:
            problems = (await response.json())["problems"]

    assert problems["redis"] == "lacks RedisJSON: use Redis 8, or load the module into Redis 7"


async def test_a_database_that_redis_lacks_is_named_with_those_that_are_allowed(
    serve: ServeNode, tmp_path: Path
) -> None:
    with RedisServer(tmp_path) as plain:
        node = await serve(url=f"redis://127.0.0.1:{plain.port}/77")
        async with node.http.get("/readyz") as response:
            problem = (await response.json())["problems"]["redis"]

    assert problem.startswith("REDIS_URL: DB index is out of range; the address names database 77")


async def test_a_process_is_ready_once_every_stage_has_a_worker_with_partitions(serve: ServeNode) -> None:
    async def problems() -> Any:
        async with node.client.http.get("/readyz") as response:
            assert response.status == 503
            return (await response.json())["problems"].get("stages")

    node = await serve()
    assert await problems() == "no worker: ingest, enrich, infer, deliver"
    await staff(node.redis, "ingest", "enrich", "deliver")
    await node.redis.zadd(Keys().group("infer").heartbeats, {"worker": 2**50})
    assert await problems() == "no worker: infer", "it has no partitions yet"

    await staff(node.redis, "infer")

    await eventually(lambda: is_ready(node), "the process is ready")


async def is_ready(node: Node) -> bool:
    async with node.client.http.get("/readyz") as response:
        return response.status == 200 and await response.json() == {"status": "ready"}


async def test_a_ready_process_stays_ready_and_names_a_stage_whose_workers_are_gone(
    serve: ServeNode,
) -> None:
    node = await serve(staffed=True)
    await eventually(lambda: is_ready(node), "the process is ready")

    await node.redis.delete(Keys().group("enrich").plan)  # as each rebalance does for a moment
    async with node.client.http.get("/readyz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ready"})

    await node.redis.delete(Keys().group("enrich").heartbeats)
    async with node.client.http.get("/readyz") as response:
        assert response.status == 200
        assert await response.json() == {"status": "ready", "stages_without_workers": ["enrich"]}


@pytest.mark.slow
async def test_without_redis_a_process_is_alive_and_says_why_it_is_not_ready(serve: ServeNode) -> None:
    node = await serve(url="redis://127.0.0.1:1/0")
    async with node.http.get("/healthz") as response:
        assert response.status == 200
    async with node.http.get("/readyz") as response:
        assert response.status == 503
        assert set((await response.json())["problems"]) == {"redis", "hub"}
    async with node.http.post("/token", params={"name": "Ada"}) as response:
        assert response.status == 503
        assert "detail" in await response.json()
