"""A client that asks for much gets no more than its share, and the others notice nothing."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import aiohttp
import pytest

from faust_redis.testing import eventually
from parley.local.embedded import EmbeddedRedis
from pipeline.telemetry import refusals
from tests.web.conftest import Node, ServeNode
from web import keys


async def get(node: Node, path: str, **params: Any) -> tuple[int, Any, str | None]:
    """Return the status, the JSON and the header Retry-After of a request."""
    async with node.http.get(path, params=params) as response:
        return response.status, await response.json(), response.headers.get("Retry-After")


async def test_the_history_comes_in_pages(node: Node) -> None:
    token = await node.client.token()
    for number in range(3):
        await node.finish(token, f"q{number}", f"a{number}")
    _, whole, _ = await get(node, "/refresh_token", token=token)
    status, last, _ = await get(node, "/refresh_token", token=token, limit=2)
    _, before, _ = await get(node, "/refresh_token", token=token, before=last["messages"][0]["id"])

    assert status == 200
    assert set(whole) == {"token", "messages", "name", "session_start"}
    assert (last["earlier"], before["earlier"]) == (4, 0)
    assert before["messages"] + last["messages"] == whole["messages"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "x"},
        {"limit": "99999"},
        {"limit": "٣"},
        {"before": "nope"},
        {"before": '"]'},
    ],
)
async def test_a_page_that_cannot_be_is_a_wrong_request(node: Node, wrong: dict[str, str]) -> None:
    status, body, _ = await get(node, "/refresh_token", token=await node.client.token(), **wrong)
    assert status == 400
    assert body["detail"]["loc"] == next(iter(wrong))


async def test_too_many_reads_of_an_address_are_refused(serve: ServeNode) -> None:
    node = await serve(address_read_rate="1/m+2")
    token = await node.client.token()
    found = [await get(node, "/refresh_token", token=token) for _ in range(3)]

    assert [status for status, _, _ in found] == [200, 200, 429]
    assert "ADDRESS_READ_RATE" in found[2][1]["detail"]
    assert 50 < int(found[2][2] or 0) <= 60


async def test_too_many_sockets_that_an_address_opens_are_refused_before_the_upgrade(
    serve: ServeNode,
) -> None:
    node = await serve(address_connect_rate="1/m+2")
    token = await node.client.token()
    for _ in range(2):
        await (await node.client.open(token)).close()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await node.client.open(token)
    assert refused.value.status == 429


async def test_thirty_reads_of_a_long_session_that_hang_up_cost_two(node: Node) -> None:
    token = await node.client.token()
    await node.finish(token, "q", "x" * 1_000_000)
    before = (await node.redis.info("stats"))["total_net_output_bytes"]

    async def hang_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await get(node, "/refresh_token", token=token)

    await asyncio.gather(*(hang_up() for _ in range(30)))
    status, whole, _ = await get(node, "/refresh_token", token=token)
    spent = (await node.redis.info("stats"))["total_net_output_bytes"] - before

    assert (status, len(whole["messages"])) == (200, 2)
    assert spent < 4_500_000


async def test_a_flood_of_repeats_is_refused_to_its_sender_alone(serve: ServeNode) -> None:
    node = await serve()
    share = node.settings.inbox_limit + 1
    token, other = await node.client.token(), await node.client.token()
    flooding, talking = await node.client.stream(token), await node.client.stream(other)
    await node.joined(token)
    for _ in range(500):
        await flooding.say("again", "same")
    await eventually(lambda: len(node.intake.messages) == share, "the share of a session")
    await flooding.say("and one more", "different")
    error = await flooding.until("error")
    await talking.say("hello")
    await eventually(lambda: node.intake.texts[-1] == "hello", "the other's message")

    assert (error["id"], error["code"]) == ("different", "session_busy")
    assert len(node.intake.messages) == share + 1


async def test_a_full_redis_refuses_new_sessions_and_is_not_ready_and_old_ones_read_on(
    own_redis: EmbeddedRedis, serve: ServeNode
) -> None:
    node = await serve(url=own_redis.url)
    token = await node.client.token()
    used = (await node.redis.info("memory"))["used_memory"]
    await node.redis.config_set("maxmemory", int(used / 0.9))
    await eventually(lambda: node.app[keys.GATE]._memory.refuses_sessions, "the reserve to be seen")

    async with node.http.post("/token", params={"name": "Eve"}) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
    assert (await get(node, "/readyz"))[0] == 200
    assert (await get(node, "/refresh_token", token=token))[0] == 200

    await node.redis.config_set("maxmemory", 1024 * 1024)
    status, body, _ = await get(node, "/readyz")
    assert (status, body["problems"]["redis"]) == (503, "full: used memory is above maxmemory")
    await node.redis.config_set("maxmemory", 0)
    assert (await get(node, "/readyz"))[0] == 200


async def test_a_flood_leaves_one_line_in_the_log_and_a_figure(
    serve: ServeNode, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        refusals.log, "warning", lambda event, **facts: lines.append({"event": event, **facts})
    )
    caplog.set_level(logging.WARNING)
    node = await serve(address_token_rate="1/h")
    for _ in range(50):
        async with node.http.post("/token", params={"name": "Eve"}) as response:
            await response.read()
    async with node.http.get("/metrics") as response:
        found = re.search(r'parley_refusals_total{reason="address_token_rate"} (\S+)', await response.text())

    assert len(lines) == 1
    assert (lines[0]["setting"], lines[0]["address"]) == ("ADDRESS_TOKEN_RATE", "127.0.0.1")
    assert found is not None
    assert float(found[1]) == 49
