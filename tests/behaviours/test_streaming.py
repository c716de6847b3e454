"""`parley.v1` through the whole service."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from faust_redis.testing import eventually
from tests.support.chat_client import ChatClient, StreamSocket
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Enough words, each a token, for a test to do something while they come.
LONG = " ".join(f"word{number}" for number in range(60))


async def told(socket: StreamSocket, turn: str, characters: int = 1) -> None:
    """Wait until a socket has had some of an answer."""
    while len(socket.texts.get(turn, "")) < characters:
        await socket.frame()


async def test_a_message_is_accepted_started_streamed_and_finished(client: ChatClient) -> None:
    token = await client.token()
    socket = await client.stream(token)
    turn = await socket.say("Hello")
    message = await socket.until("message")
    accepted, start, *tokens, last = socket.frames
    assert accepted == {"type": "accepted", "id": turn, "position": 0}
    assert start == {"type": "start", "turn": turn}
    assert {frame["type"] for frame in tokens} == {"token"}
    assert last is message
    assert message == {
        "type": "message",
        "turn": turn,
        "id": message["id"],
        "msg": "You said: Hello",
        "timestamp": message["timestamp"],
        "usage": {"input_tokens": 3, "output_tokens": 3},
    }
    session = await client.session(token)
    assert session["messages"][1] == {
        "id": message["id"],
        "msg": "Bot: You said: Hello",
        "timestamp": message["timestamp"],
        "usage": message["usage"],
    }


async def test_messages_at_once_are_told_their_place_and_answered_in_order(client: ChatClient) -> None:
    socket = await client.stream(await client.token())
    turns = [await socket.say(f"Number {number}") for number in range(5)]
    messages = [await socket.until("message") for _ in turns]
    assert [message["turn"] for message in messages] == turns
    assert [message["msg"] for message in messages] == [f"You said: Number {number}" for number in range(5)]
    kinds = [(frame["type"], frame.get("turn", frame.get("id"))) for frame in socket.frames]
    for turn in turns:
        order = [kind for kind, of in kinds if of == turn and kind != "token"]
        assert order == ["accepted", "start", "message"]
    places = [frame["position"] for frame in socket.frames if frame["type"] == "accepted"]
    assert places[0] == 0
    assert max(places) <= 4


async def test_stop_from_another_tab_keeps_what_came_and_closes_the_call(
    client: ChatClient, slow_model: ModelServer
) -> None:
    token = await client.token()
    socket, tab = await client.stream(token), await client.stream(token)
    text = LONG * 20  # an answer of a minute
    turn = await socket.say(text)
    await told(socket, turn, 30)
    stopped_at = time.monotonic()
    await tab.put(type="stop")
    for each in (socket, tab):
        message = await each.until("message")
        assert message["stopped"] is True
        assert message["msg"]
        assert f"You said: {text}".startswith(message["msg"])
    await eventually(lambda: slow_model.in_flight == 0, "the call to be closed")
    assert time.monotonic() - stopped_at < 20
    _, bot = (await client.session(token))["messages"]
    assert bot == {
        "id": message["id"],
        "msg": f"Bot: {message['msg']}",
        "timestamp": message["timestamp"],
        "stopped": True,
    }
    # The session goes on, with the answer as far as it came in its context.
    await socket.say("Short")
    assert (await socket.until("message"))["msg"].startswith("You said: Short")


async def test_stop_of_a_waiting_message_leaves_the_running_one(
    client: ChatClient, slow_model: ModelServer
) -> None:
    socket = await client.stream(await client.token())
    running, waiting, last = [await socket.say(text) for text in ("one two three four", "No", "Yes")]
    await socket.put(type="stop", turn=waiting)
    ends = [await socket.until("message") for _ in range(3)]
    assert [end["turn"] for end in ends] == [running, waiting, last]
    assert [end.get("stopped", False) for end in ends] == [False, True, False]
    assert ends[1]["msg"] == ""


async def test_a_disconnect_never_stops_a_turn_and_after_brings_the_rest(
    client: ChatClient, slow_model: ModelServer
) -> None:
    token = await client.token()
    first = await client.stream(token)
    turn = await first.say("Wait for me, I am back in a moment")
    await told(first, turn)
    first.vanish()
    second = await client.stream(token, after=turn)
    message = await second.until("message")
    assert message["msg"] == "You said: Wait for me, I am back in a moment"
    assert second.texts[turn] == message["msg"]  # it joined in mid-answer
    third = await client.stream(token, after=turn)
    assert await third.frame() == message
    fourth = await client.stream(token, after=message["id"])
    assert await fourth.silent(0.2)


async def test_a_message_sent_again_is_answered_once(client: ChatClient, model: ModelServer) -> None:
    token = await client.token()
    socket = await client.stream(token)
    turn = await socket.say("Once")
    message = await socket.until("message")
    await socket.say("Once", turn)
    assert await socket.frame() == {"type": "accepted", "id": turn, "position": 0, "duplicate": True}
    other = await client.stream(token)
    await other.say("Once", turn)
    assert (await other.frame())["duplicate"] is True
    assert await other.frame() == message
    assert await socket.silent(0.2)
    assert len(model.requests) == 1
    assert len((await client.session(token))["messages"]) == 2


async def test_regenerate_keeps_the_old_answer_beside_the_new_one(client: ChatClient) -> None:
    token = await client.token()
    socket = await client.stream(token)
    await socket.put(type="regenerate", id="too-early")
    error = await socket.frame()
    assert (error["type"], error["id"], error["code"]) == ("error", "too-early", "nothing_to_regenerate")
    await socket.say("Hello")
    old = await socket.until("message")
    request = str(uuid.uuid4())
    await socket.put(type="regenerate", id=request)
    start = await socket.until("start")
    assert (start["turn"], start["regenerates"]) == (request, old["id"])
    new = await socket.until("message")
    assert (new["turn"], new["replaces"]) == (request, old["id"])
    _, bot = (await client.session(token))["messages"]
    assert bot["id"] == new["id"]
    assert [each["id"] for each in bot["alternatives"]] == [old["id"]]
    # A plain socket's context and a later question see the new answer only.
    late = await client.stream(token, after=old["id"])
    assert await late.frame() == new


async def test_an_edit_replaces_the_last_message_and_keeps_the_old_branch(
    client: ChatClient, model: ModelServer
) -> None:
    token = await client.token()
    socket = await client.stream(token)
    first = await socket.say("Helo")
    old = await socket.until("message")
    edit = str(uuid.uuid4())
    for _ in range(2):  # not sure whether it arrived, a client sends it again
        await socket.put(type="edit", id=edit, text="Hello", replaces=first)
    new = await socket.until("message")
    assert (new["turn"], new["msg"]) == (edit, "You said: Hello")
    human, bot = (await client.session(token))["messages"]
    assert (human["id"], human["msg"], bot["id"]) == (edit, "Human: Hello", new["id"])
    assert [[each["id"] for each in branch] for branch in human["branches"]] == [[first, old["id"]]]
    assert len(model.requests) == 2
    assert "Helo" not in str(model.requests[-1].body), "the model sees the new branch only"
    late = await client.stream(token, after=old["id"])
    assert await late.frame() == new


async def test_a_regenerate_after_an_error_is_the_retry(client: ChatClient, model: ModelServer) -> None:
    token = await client.token()
    socket = await client.stream(token)
    model.fail_next(status=401)
    turn = await socket.say("Hello")
    error = await socket.until("error")
    assert (error["turn"], error["code"], error["retryable"]) == (turn, "model_unauthorized", False)
    await socket.put(type="regenerate")
    message = await socket.until("message")
    assert message["msg"] == "You said: Hello"
    assert "replaces" not in message
    assert len((await client.session(token))["messages"]) == 2


async def test_two_hundred_answers_stream_at_once(client: ChatClient, slow_model: ModelServer) -> None:
    async def one() -> None:
        socket = await client.stream(await client.token())
        turn = await socket.say("one two three four five")
        message = await socket.until("message", 60)
        assert message["msg"] == "You said: one two three four five"
        assert socket.texts[turn] == message["msg"]
        await socket.close()

    await asyncio.gather(*(one() for _ in range(200)))
