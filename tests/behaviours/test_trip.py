"""A message's way through the whole service: token, socket, four agents, answer, history."""

from __future__ import annotations

import json
import uuid

import pytest
import redis

from faust_redis.testing import eventually
from pipeline.redis.keys import session_key
from tests.support.chat_client import ChatClient
from tests.support.load_driver import timestamp_problem
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_message_makes_the_whole_trip(up: Up, client: ChatClient) -> None:
    async with client.http.post("/token", params={"name": "Ada"}) as response:
        assert response.status == 200
        created = await response.json()
    token = created["token"]
    assert uuid.UUID(token).version == 4
    assert created == {
        "token": token,
        "messages": [],
        "name": "Ada",
        "session_start": created["session_start"],
    }

    socket = await client.open(token)
    await socket.send("Hello")
    frame = await socket.answer()
    assert frame == {"id": frame["id"], "msg": "You said: Hello", "timestamp": frame["timestamp"]}

    session = await client.session(token)
    human, bot = session["messages"]
    assert session == {**created, "messages": [human, bot]}
    assert human == {"id": human["id"], "msg": "Human: Hello", "timestamp": human["timestamp"]}
    assert bot == {**frame, "msg": "Bot: You said: Hello", "usage": bot["usage"]}
    assert human["id"] != bot["id"]
    times = [session["session_start"], human["timestamp"], bot["timestamp"]]
    assert not any(map(timestamp_problem, times))
    assert times == sorted(times)

    with redis.Redis.from_url(up.redis_url) as store:
        stored = json.loads(store.execute_command("JSON.GET", session_key(token)))
        assert {field: stored[field] for field in session} == session
        assert 3500 < store.ttl(session_key(token)) <= 3600


async def test_each_answer_has_seen_the_answers_before_it(client: ChatClient, model: ModelServer) -> None:
    texts = [f"Number {number}" for number in range(6)]
    frames = await client.ask(await client.token(), *texts)
    assert [frame["msg"] for frame in frames] == [f"You said: {text}" for text in texts]

    said = [side for text in texts for side in (f"Human: {text}", f"Bot: You said: {text}")]
    # The history up to a message and with it is said[: 2 * number + 1]; four of that are the context.
    expected = [
        " ".join(said[max(0, 2 * number - 3) : 2 * number + 1]) + " Bot:" for number in range(len(texts))
    ]
    assert [seen.body["inputs"] for seen in model.requests] == expected


async def test_two_sockets_of_one_session_both_get_the_answer_and_no_other_does(client: ChatClient) -> None:
    token = await client.token()
    ours = [await client.open(token), await client.open(token)]
    stranger = await client.open(await client.token())
    await ours[0].send("Is anybody there?")
    first, second = [await socket.answer() for socket in ours]
    assert first == second
    assert first["msg"] == "You said: Is anybody there?"
    assert await stranger.silent()
    await stranger.send("I am")
    assert (await stranger.answer())["msg"] == "You said: I am"
    for socket in ours:
        assert await socket.silent()


async def test_a_socket_closed_at_once_loses_nothing(client: ChatClient) -> None:
    token = await client.token()
    first = await client.open(token)
    await first.send("Wait for me")
    await first.close()

    async def answered() -> bool:
        return len((await client.session(token))["messages"]) == 2

    await eventually(answered, "the history holds the answer")
    second = await client.open(token)
    frame = await second.answer()
    assert frame["msg"] == "You said: Wait for me"
    _, bot = (await client.session(token))["messages"]
    assert bot == {**frame, "msg": f"Bot: {frame['msg']}", "usage": bot["usage"]}
    assert await second.silent()
