"""The replies to a client that exceeds a limit."""

from __future__ import annotations

from functools import partial

import aiohttp
import pytest

from faust_redis.testing import Keys, eventually
from pipeline.chat.records import Inbound
from tests.web.conftest import ServeNode
from web import keys

KEYS = Keys()


async def test_too_many_messages_of_a_session_are_refused_with_the_time_to_wait(serve: ServeNode) -> None:
    node = await serve(message_rate="1/m+2")
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    ids = [await socket.say(f"message {number}") for number in range(3)]

    error = await socket.until("error")

    assert (error["id"], error["code"], error["retryable"]) == (ids[2], "rate_limited", True)
    assert 50 < error["retry_after"] <= 60
    assert node.intake.texts == ["message 0", "message 1"]


async def test_a_plain_client_is_told_in_its_own_shape(serve: ServeNode) -> None:
    node = await serve(message_rate="1/m")
    socket = await node.client.open(await node.client.token())
    await socket.send("one", "two")

    answer = await socket.answer()

    assert set(answer) == {"id", "msg", "timestamp", "error"}
    assert answer["error"] == "rate_limited"


@pytest.mark.slow
async def test_a_full_stage_makes_the_web_answer_busy_until_it_has_room(serve: ServeNode) -> None:
    node = await serve(infer_limit=2, partitions=2)
    token = await node.client.token()
    socket = await node.client.stream(token)
    for number in range(2):
        await node.redis.xadd(KEYS.stream(("infer", number)), {"v": "x"})
    await node.client.token()  # a service without requests is sampled seldom
    await eventually(lambda: node.app[keys.GATE].full, "the stage to be seen as full")

    refused = await socket.say("one")
    error = await socket.until("error")
    await node.redis.delete(KEYS.stream(("infer", 0)))
    await eventually(lambda: not node.app[keys.GATE].full, "the stage to have room")
    await socket.say("two")

    assert (error["id"], error["code"]) == (refused, "busy")
    assert 1 <= error["retry_after"] <= 60
    await eventually(lambda: node.intake.texts == ["two"], "the second message to be taken")


async def test_a_returning_client_sends_its_open_messages_again_although_a_stage_is_full(
    serve: ServeNode,
) -> None:
    node = await serve(infer_limit=2, partitions=2, inbox_limit=1)
    token = await node.client.token()
    for number in range(2):
        await node.redis.xadd(KEYS.stream(("infer", number)), {"v": "x"})
    await node.client.token()  # a service without requests is sampled seldom
    await eventually(lambda: node.app[keys.GATE].full, "the stage to be seen as full")

    socket = await node.client.stream(token, after="an-answer")
    for text in ("one", "two", "three"):
        refused = await socket.say(text)
    errors = [await socket.until("error") for _ in range(2)]  # the answer in ``after`` is unknown, too

    # The third one exceeds the limit of the client's own session.
    assert {error["code"]: error.get("id") for error in errors}["session_busy"] == refused
    await eventually(lambda: node.intake.texts == ["one", "two"], "the repeats to be taken")


async def test_a_repeat_from_another_socket_of_its_session_is_not_refused_while_it_is_unanswered(
    serve: ServeNode,
) -> None:
    nodes = [await serve(message_rate="1/h") for _ in range(2)]
    token = await nodes[0].client.token()
    first = await nodes[0].client.stream(token)
    await nodes[0].joined(token)
    await first.say("one", "m1")
    await eventually(lambda: nodes[0].intake.texts == ["one"], "the message to be taken")
    await nodes[0].sessions.accept(Inbound(token=token, id="m1", text="one", sent_at=0.0))

    for node in nodes:
        socket = await node.client.stream(token)
        await eventually(partial(node.app[keys.HUB].repair.sent.awaits, token, "m1"), "it to be known")
        await socket.say("one", "m1")
        await socket.say("two", "m2")
        assert (await socket.until("error"))["id"] == "m2"


async def test_too_many_new_sessions_of_an_address_are_refused_with_retry_after(serve: ServeNode) -> None:
    node = await serve(address_token_rate="1/m")
    async with node.http.post("/token?name=Ada") as response:
        assert response.status == 200
    async with node.http.post("/token?name=Ada") as response:
        assert response.status == 429
        assert 50 < int(response.headers["Retry-After"]) <= 60
        assert "Too many new sessions" in (await response.json())["detail"]


async def test_a_trusted_proxy_speaks_for_its_clients(serve: ServeNode) -> None:
    node = await serve(address_token_rate="1/m", trusted_proxies="127.0.0.0/8")
    for client, status in (("203.0.113.1", 200), ("203.0.113.2", 200), ("203.0.113.1", 429)):
        async with node.http.post("/token?name=Ada", headers={"X-Forwarded-For": client}) as response:
            assert response.status == status


async def test_a_socket_too_many_is_refused_before_the_upgrade(serve: ServeNode) -> None:
    node = await serve(sockets_per_token=1)
    token = await node.client.token()
    first = await node.client.open(token)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await node.client.open(token)
    assert refused.value.status == 429
    await first.close()
    await node.gone(token)

    await node.client.open(token)
