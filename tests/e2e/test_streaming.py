"""`parley.v1` through the whole service."""

from __future__ import annotations

import pytest

from tests.support.chat_client import ChatClient

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
    }
    session = await client.session(token)
    assert session["messages"][1] == {
        "id": message["id"],
        "msg": "Bot: You said: Hello",
        "timestamp": message["timestamp"],
    }
