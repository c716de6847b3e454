"""A message whose answer kills infer ends as an error to its user and a dead letter."""

from __future__ import annotations

import os
import signal

import pytest

from faust_redis import DeadLetters
from faust_redis.testing import eventually
from pipeline.redis.client import connect
from tests.support.chat_client import ChatClient
from tests.support.model_protocols import Question
from tests.support.model_server import ModelServer, echo
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Seconds in which three workers die, one after the other, and the fourth gives the message up.
PATIENCE = 110


@pytest.mark.timeout(150)
async def test_a_message_that_kills_infer_is_an_error_to_its_user_and_the_others_are_answered(
    up: Up, client: ChatClient, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    def deadly(question: Question) -> str:
        if "poison" in question.last:
            killed.append(up.agents("infer")[0])
            os.kill(killed[-1], signal.SIGKILL)
        return echo(question)

    monkeypatch.setattr(model, "answer", deadly)
    poisoned = await client.stream(await client.token())
    other = await client.stream(await client.token())

    turn = await poisoned.say("poison")
    await eventually(lambda: killed, "infer to die")
    await other.say("hello")
    answer = await other.until("message", timeout=PATIENCE)
    error = await poisoned.until("error", timeout=PATIENCE)

    assert "hello" in answer["msg"]
    assert (error["turn"], error["code"]) == (turn, "internal_error")
    assert len(killed) == 3
    async with connect(up.redis_url) as redis:
        letters = await DeadLetters(redis).page(["infer"])
    (error_text,) = [letter.error for letter in letters if turn.encode() in (letter.value or b"")]
    assert error_text == "WorkerDiedError: its worker died 3 times while it was being handled"
    await poisoned.say("better")
    assert "better" in (await poisoned.until("message", timeout=PATIENCE))["msg"]
