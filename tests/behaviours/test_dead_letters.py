"""A message that failed for good is a dead letter; sent again, it is answered if its session still waits."""

from __future__ import annotations

from typing import Any

import pytest

from faust_redis import DeadLetter, DeadLetters
from faust_redis.testing import eventually
from pipeline.redis.client import connect
from pipeline.settings import STAGES
from tests.support.chat_client import ChatClient, StreamSocket
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def letter_of(dead: DeadLetters, turn: str) -> DeadLetter:
    """Wait for the dead letter of a turn."""
    found: list[DeadLetter] = []

    async def there() -> bool:
        letters = await dead.page(STAGES)
        found.extend(letter for letter in letters if turn.encode() in (letter.value or b""))
        return bool(found)

    await eventually(there, "a dead letter")
    return found[0]


async def failed(
    client: ChatClient, model: ModelServer, text: str
) -> tuple[str, StreamSocket, dict[str, Any]]:
    """Send a message for which the model is away; return the session's token, its socket and the error."""
    token = await client.token()
    socket = await client.stream(token)
    model.fail_next("drop", times=2)  # on a kept connection, the first drop is healed by a new connection
    turn = await socket.say(text)
    error = await socket.until("error")
    model.heal()
    assert (error["turn"], error["code"]) == (turn, "model_unreachable")
    return token, socket, error


async def test_a_dead_letter_is_answered_when_it_is_sent_again(
    up: Up, client: ChatClient, model: ModelServer
) -> None:
    async with connect(up.redis_url) as redis:
        dead = DeadLetters(redis)
        token, socket, error = await failed(client, model, "anybody there?")
        letter = await letter_of(dead, error["turn"])
        assert (letter.topic, letter.attempts) == ("infer", 1)
        assert letter.error.startswith("ModelError: model_unreachable")

        await dead.replay(letter.id)

        message = await socket.until("message")
        assert "anybody there?" in message["msg"]
        _, answer = (await client.session(token))["messages"]
        assert answer["id"] == message["id"]


async def test_a_session_that_has_gone_on_is_left_alone(
    up: Up, client: ChatClient, model: ModelServer
) -> None:
    async with connect(up.redis_url) as redis:
        dead = DeadLetters(redis)
        token, socket, error = await failed(client, model, "first")
        await socket.say("second")
        await socket.until("message")
        letter = await letter_of(dead, error["turn"])

        await dead.replay(letter.id)

        await socket.say("third")
        assert "third" in (await socket.until("message"))["msg"]
        texts = [message["msg"] for message in (await client.session(token))["messages"]]
        assert [text.partition(" ")[0] for text in texts] == ["Human:", "Human:", "Bot:", "Human:", "Bot:"]
