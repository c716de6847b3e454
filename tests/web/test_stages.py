"""The stages as JSON: what everybody sees, and what takes the admin token."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from faust_redis.testing import eventually
from parley.local.embedded import EmbeddedRedis
from pipeline.chat.records import Inbound
from pipeline.chat.waiting import note_waiting
from pipeline.settings import STAGES
from pipeline.telemetry import refusals
from pipeline.telemetry.stages import watch
from tests.support.chat_client import Http
from tests.web.conftest import ADMIN, BEARER, KEYS, SECRET, Node, ServeNode


async def get(http: Http, path: str, **headers: str) -> tuple[int, Any]:
    async with http.get(path, headers=headers) as response:
        return response.status, await response.json()


async def test_the_figures_of_all_stages_come_at_the_first_request(node: Node) -> None:
    status, body = await get(node.http, "/api/stages")
    assert status == 200
    assert [stage["name"] for stage in body["stages"]] == list(STAGES)
    assert {stage["state"] for stage in body["stages"]} == {"stopped"}


async def test_figures_are_recorded_and_found_by_their_time(locked: Node) -> None:
    async def is_recorded() -> bool:
        status, body = await get(locked.http, f"/api/stages?at={time.time():.0f}")
        return status == 200 and body["recorded"]["interval"] == 10

    await eventually(is_recorded, "the first moment")
    _, body = await get(locked.http, f"/api/stages?at={time.time():.0f}")
    assert [stage["name"] for stage in body["stages"]] == list(STAGES)
    assert body["stages"][2]["lag"] == 1
    _, past = await get(locked.http, f"/api/stages/history?since={time.time() - 60:.3f}")
    assert past["infer"]["left"][-1] == 1

    status, body = await get(locked.http, f"/api/stages?at={time.time() - 7200:.0f}")
    assert (status, body["detail"]) == (404, "No figures were recorded at that time; they are kept for a day")
    for query in ("at=x", "at=-1", "at=1e9", "at="):
        assert (await get(locked.http, f"/api/stages?{query}"))[0] == 400


async def test_the_clients_that_are_refused_are_named_to_the_admin_alone(
    locked: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_tops", {})  # those of other tests in this process may be more
    refusals.refused("message_rate", address="203.0.113.9")

    async def shown() -> bool:
        _, body = await get(locked.http, "/api/stages", **BEARER)
        return "203.0.113.0/24" in json.dumps(body["refusals"])

    await eventually(shown, "the network of the client")
    _, body = await get(locked.http, "/api/stages")
    assert [each["reason"] for each in body["refusals"]][:1] == ["message_rate"]
    assert "203.0.113" not in json.dumps(body)


async def test_messages_that_wait_in_their_session_are_shown_and_exported(node: Node) -> None:
    token = await node.client.token()
    await node.finish(token, "first", "answer")
    for text in ("second", "third", "fourth"):
        await node.sessions.accept(Inbound(token=token, id=f"m-{text}", text=text, sent_at=0.0))
    await note_waiting(node.redis, [token])

    async def shown() -> bool:
        _, body = await get(node.http, "/api/stages")
        return bool(body["inboxes"]["messages"] == 2)

    await eventually(shown, "two messages that wait")
    _, body = await get(node.http, "/api/stages")
    assert token not in json.dumps(body)
    async with node.http.get("/metrics") as response:
        text = await response.text()
    assert "\nparley_inbox_messages 2.0\n" in text
    assert 'parley_inbox_age_seconds{quantile="1"}' in text


@pytest.mark.slow
async def test_this_node_shows_with_its_sockets_and_what_they_sent(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    await socket.send("Hello")

    async def shown() -> bool:
        _, body = await get(node.http, "/api/stages")
        return [(web["working"], web["handled"]) for web in body["web"]] == [(1, 1)]

    await eventually(shown, "one node with one socket and one message")


async def test_few_questions_are_put_to_redis_while_nobody_looks(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LINGER", 0.3)
    monkeypatch.setattr(watch, "INTERVAL", 0.05)
    monkeypatch.setattr(watch, "IDLE_INTERVAL", 0.5)
    await get(node.http, "/api/stages")

    async def asked() -> int:
        stats = await node.redis.info("commandstats")
        return int(stats["cmdstat_zrange"]["calls"])

    pace: list[int] = []

    async def slept() -> bool:
        before = await asked()
        await asyncio.sleep(0.3)
        pace.append(await asked() - before)
        return pace[-1] <= pace[0] / 3

    async def awake(than: int) -> bool:
        return await asked() > than + 5

    await eventually(slept, "it looks more seldom")
    await get(node.http, "/api/stages")
    before = await asked()
    await eventually(lambda: awake(before), "it looks often again")
    _, past = await get(node.http, "/api/stages/history")
    assert len(past["infer"]["at"]) >= 3


async def test_many_viewers_share_one_watch(node: Node) -> None:
    await asyncio.gather(*(get(node.http, "/api/stages") for _ in range(20)))
    assert [task.get_name() for task in asyncio.all_tasks()].count("stage watch") == 1


async def test_what_people_wrote_is_shown_to_the_admin_alone(locked: Node) -> None:
    http = locked.http
    for path in ("/api/stages/infer/0/latest", "/api/stages/infer/dead"):
        status, body = await get(http, path)
        assert (status, body["private"]) == (200, False)
        assert SECRET not in json.dumps(body)
        status, body = await get(http, path, **BEARER)
        assert (status, body["private"]) == (200, True)
        assert SECRET in json.dumps(body)


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", ADMIN, f"Basic {ADMIN}", f"Bearer {ADMIN}x"])
async def test_a_wrong_admin_token_is_refused(
    locked: Node, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.http.admin.WRONG_TOKEN_DELAY", 0.0)
    status, body = await get(locked.http, "/api/stages/infer/0/latest", Authorization=header)
    assert (status, body) == (403, {"detail": "Wrong admin token"})


async def test_without_an_admin_token_in_the_settings_nobody_is_admin(node: Node) -> None:
    status, body = await get(node.http, "/api/stages/infer/0/latest", **BEARER)
    assert (status, body) == (403, {"detail": "ADMIN_TOKEN is not set"})
    async with node.http.get("/metrics") as response:
        assert 'parley_refusals_total{reason="admin_unset"}' in await response.text()


async def test_only_the_admin_replays_a_dead_letter_and_no_cookie_makes_one(locked: Node) -> None:
    http = locked.http
    _, body = await get(http, "/api/stages/infer/dead", **BEARER)
    letter = {"id": body["letters"][0]["id"]}
    async with http.post("/api/stages/dead/replay", json=letter, cookies={"token": ADMIN}) as response:
        assert response.status == 403
    async with http.post("/api/stages/dead/replay", json=letter, headers=BEARER) as response:
        assert (response.status, await response.json()) == (200, {"replayed": letter["id"], "offset": 2})
    async with http.post("/api/stages/dead/replay", json=letter, headers=BEARER) as response:
        assert response.status == 404
    assert await locked.redis.xlen(KEYS.stream(("infer", 0))) == 2


async def test_the_admin_pauses_and_resumes_a_stage(locked: Node) -> None:
    async def post(action: str, **headers: str) -> tuple[int, Any]:
        async with locked.http.post(f"/api/stages/infer/{action}", headers=headers) as response:
            return response.status, await response.json()

    assert (await post("pause"))[0] == 403
    assert await post("pause", **BEARER) == (200, {"action": "pause", "changed": True})
    assert await locked.redis.hkeys(KEYS.paused("infer")) == [b"infer"]
    assert await post("resume", **BEARER) == (200, {"action": "resume", "changed": True})
    assert await post("resume", **BEARER) == (200, {"action": "resume", "changed": False})
    assert not await locked.redis.exists(KEYS.paused("infer"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": 7}', b'{"id": "infer:0:nonsense"}'])
async def test_a_replay_of_nothing_is_refused(locked: Node, body: bytes) -> None:
    async with locked.http.post("/api/stages/dead/drop", data=body, headers=BEARER) as response:
        assert response.status in (400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/api/stages/nope/0/latest",
        "/api/stages/infer/x/latest",
        "/api/stages/infer/0/all",
        "/api/stages/web/dead",
    ],
)
async def test_a_stage_that_does_not_exist_is_not_found(node: Node, path: str) -> None:
    assert (await get(node.http, path))[0] == 404


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=1e9", "before=" + "9" * 30])
async def test_an_offset_that_is_none_is_refused(node: Node, query: str) -> None:
    assert (await get(node.http, f"/api/stages/infer/0/latest?{query}"))[0] == 400


async def test_prometheus_reads_the_stages_and_this_process_and_no_token(locked: Node) -> None:
    token = await locked.client.token()
    await get(locked.http, f"/refresh_token?token={token}")
    await get(locked.http, f"/{token}/{SECRET}")
    async with locked.http.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    where = (("partition", "0"), ("stage", "infer"))
    assert values["parley_stage_lag", *where] == 1
    assert values["parley_stage_dead_letters", *where] == 1
    assert values["parley_stage_workers", ("stage", "infer")] == 0
    assert values["parley_stage_oldest_age_seconds", *where] > 1e6
    assert values["parley_redis_up",] == 1
    assert token not in text
    assert SECRET not in text
    route = (("http_request_method", "_OTHER"), ("http_response_status_code", "404"), ("http_route", ""))
    assert values["http_server_request_duration_seconds_count", *route] == 1


async def test_without_redis_prometheus_reads_the_process_and_that_redis_is_away(
    own_redis: EmbeddedRedis, serve: ServeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.http.metrics.LOOK_SECONDS", 0.3)
    node = await serve(url=own_redis.url)
    own_redis.stop()
    async with node.http.get("/metrics") as response:
        text = await response.text()
    assert "\nparley_redis_up 0.0\n" in text
    assert "parley_stage_lag" not in text


async def test_without_redis_the_last_figures_are_shown_with_their_age(
    own_redis: EmbeddedRedis, serve: ServeNode
) -> None:
    node = await serve(url=own_redis.url)
    _, current = await get(node.http, "/api/stages")
    own_redis.stop()

    async def is_stale() -> bool:
        status, body = await get(node.http, "/api/stages")
        assert status == 200
        return body["stale"] is not None and body["at"] >= current["at"]

    assert current["stale"] is None
    await eventually(is_stale, "the figures to be stale")
