"""The end of a session: nothing of it is left, and nothing of it comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from faust_redis import partition_for_key
from faust_redis.testing import encode, eventually
from pipeline.chat.records import Inbound, TurnOutcome
from pipeline.chat.results import Gone
from pipeline.redis.client import execute
from pipeline.settings import STAGES
from tests.web.conftest import KEYS, Node, ServeNode, frame
from web.chat.outbox import IDLE, SESSION_ENDED


async def keys_of(node: Node, token: str) -> list[bytes]:
    """Return what Redis has under a token."""
    return [key async for key in node.redis.scan_iter(f"*{token}*")]


@pytest.mark.parametrize("place", ["header", "query", "logout"])
async def test_an_ended_session_leaves_nothing_behind(node: Node, place: str) -> None:
    token = await node.client.token()
    await node.finish(token, "Hi", "Hello")
    headers = {"Authorization": f"Bearer {token}"} if place == "header" else {}
    params = {} if place == "header" else {"token": token}
    method, path = ("POST", "/logout") if place == "logout" else ("DELETE", "/session")
    for _ in range(2):  # a repeat says the same
        async with node.http.request(method, path, headers=headers, params=params) as response:
            assert response.status == 204
            assert await response.read() == b""
    assert await keys_of(node, token) == []
    async with node.http.get("/refresh_token", params={"token": token}) as response:
        assert response.status == 400


async def test_without_a_token_nothing_is_ended(node: Node) -> None:
    for params in ({}, {"token": ""}, {"token": "nonsense"}):
        async with node.http.delete("/session", params=params) as response:
            assert response.status == 400


async def test_all_sockets_of_an_ended_session_are_closed_on_every_node(
    serve: ServeNode, redis_url: str
) -> None:
    node = await serve()
    other = await serve()
    token, neighbour = await node.client.token(), await node.client.token()
    sockets = [
        await node.client.open(token),
        await other.client.open(token),
        await other.client.stream(token),
    ]
    bystander = await other.client.open(neighbour)
    await node.joined(token)
    await other.joined(token, 2)
    await other.joined(neighbour)
    # They read meanwhile, as a client that has not read a close can't answer it.
    closing = asyncio.gather(*(socket.close_code() for socket in sockets))
    async with node.http.delete("/session", params={"token": token}) as response:
        assert response.status == 204
    assert await closing == [SESSION_ENDED] * 3
    await node.publish(neighbour, frame(1))
    assert (await bystander.answer())["id"] == "frame-1"

    async def nothing_left() -> bool:
        return await keys_of(node, token) == []

    await eventually(nothing_left, "nothing of the session is left")


async def test_nothing_comes_back_by_what_was_on_its_way(node: Node) -> None:
    token = await node.client.token()
    inbound = Inbound(token=token, id="m1", text="Hi", sent_at=0.0)
    await node.sessions.accept(inbound)
    async with node.http.delete("/session", params={"token": token}) as response:
        assert response.status == 204
    assert isinstance(await node.sessions.accept(inbound), Gone)
    assert isinstance(await node.sessions.close(TurnOutcome(token=token, turn="m1", answer="Late")), Gone)
    await node.sessions.mark_sent(token, ["m1"])
    await node.publish(token, frame(1))
    assert await keys_of(node, token) == []


async def test_the_running_answer_of_an_ended_session_is_stopped(node: Node) -> None:
    token = await node.client.token()
    await node.sessions.accept(Inbound(token=token, id="m1", text="Hi", sent_at=0.0))
    async with node.http.delete("/session", params={"token": token}) as response:
        assert response.status == 204
    stops: Any = await node.redis.xrange("stops")
    ((_, fields),) = stops
    assert fields[b"turn"] == b"m1"


async def everything(node: Node) -> str:
    """Return every key of Redis with all that it holds."""
    held: list[Any] = []
    async for key in node.redis.scan_iter("*"):
        match await node.redis.type(key):
            case b"string":
                held.append((key, await node.redis.get(key)))
            case b"hash":
                held.append((key, await node.redis.hgetall(key)))
            case b"stream":
                held.append((key, await node.redis.xrange(key)))
            case b"zset":
                held.append((key, await node.redis.zrange(key, 0, -1)))
            case kind:
                held.append((key, kind, await execute(node.redis, "JSON.GET", key)))
    return repr(held)


async def dead_letters(node: Node, tokens: tuple[str, ...], partition: int) -> list[str]:
    """Add a dead letter of each session to a partition of every stage; return the keys."""
    for topic in STAGES:
        await node.redis.hset(KEYS.topic(topic), "partitions", "8")
        for token in tokens:
            fields = encode(token.encode(), b'{"text":"my secret"}', None, 1.0)
            facts = ("group", topic, "offset", "0-1", "attempts", 5, "error", "KeyError: 'x'")
            await execute(node.redis, "XADD", KEYS.dead((topic, partition)), "*", *fields, *facts)
    return [KEYS.dead((topic, partition)) for topic in STAGES]


@pytest.mark.slow
async def test_no_key_holds_the_token_or_the_texts_of_an_ended_session(serve: ServeNode) -> None:
    node = await serve(message_rate="5/s+50", address_message_rate="5/s+50")
    token, neighbour = await node.client.token(), await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    await socket.say("my secret")
    await node.finish(token, "my-secret", "your secret")
    await node.publish(token, frame(1, "your secret"))
    await socket.until("message")
    places = await dead_letters(node, (token, neighbour), partition_for_key(token.encode(), 8))
    async with node.http.delete("/session", params={"token": token}) as response:
        assert response.status == 204

    async def forgotten() -> bool:
        return token not in await everything(node)

    await eventually(forgotten, "no key holds the token")
    assert "your secret" not in await everything(node)
    assert [await node.redis.xlen(place) for place in places] == [1] * len(places)


@pytest.mark.parametrize("protocols", [(), ("parley.v1",)])
async def test_a_socket_opens_with_the_token_in_a_header(node: Node, protocols: tuple[str, ...]) -> None:
    token = await node.client.token()
    headers = {"Authorization": f"Bearer {token}"}
    async with node.http.ws_connect("/chat", protocols=protocols, headers=headers) as socket:
        assert socket.protocol == (protocols[0] if protocols else None)


async def test_a_page_offers_the_token_as_a_protocol_that_is_not_chosen(node: Node) -> None:
    token = await node.client.token()
    async with node.http.ws_connect("/chat", protocols=("parley.v1", f"token.{token}")) as socket:
        assert socket.protocol == "parley.v1"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await node.http.ws_connect("/chat", protocols=("parley.v1", "token.nonsense"))
    assert refused.value.status == 403


async def test_the_history_is_read_with_the_token_in_a_header(node: Node) -> None:
    token = await node.client.token()
    headers = {"Authorization": f"Bearer {token}"}
    async with node.http.get("/refresh_token", headers=headers) as response:
        assert (await response.json())["token"] == token


async def test_a_socket_that_nobody_uses_is_closed(serve: ServeNode) -> None:
    node = await serve(socket_idle_timeout=0.5)
    idle = await node.client.open(await node.client.token())
    assert await idle.close_code() == IDLE


async def test_the_token_is_no_id_of_a_message(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await socket.say("Hi", token)
    assert (await socket.until("error"))["code"] == "bad_message"
    assert node.intake.messages == []
