"""Editing the last message, against a real Redis: each operation, and each twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.chat.records import ANY_LAST, Frame, Inbound, TurnOutcome
from pipeline.chat.results import Closed, Context, Ended, Opened, Queued, Stopped, TurnRunning
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import connect
from pipeline.settings import Settings


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


class Talk:
    """A session in the hands of a test."""

    def __init__(self, sessions: Sessions, token: str) -> None:
        self.sessions = sessions
        self.token = token

    async def ask(self, message_id: str, text: str, entry: str = "") -> Any:
        return await self.sessions.accept(
            Inbound(token=self.token, id=message_id, text=text, sent_at=0.0), entry
        )

    async def edit(self, message_id: str, text: str, replaces: str = ANY_LAST, entry: str = "") -> Any:
        message = Inbound(token=self.token, id=message_id, text=text, sent_at=0.0, edits=replaces)
        return await self.sessions.accept(message, entry)

    async def regenerate(self, message_id: str) -> Any:
        message = Inbound(token=self.token, id=message_id, text="", sent_at=0.0, regenerate=True)
        return await self.sessions.accept(message)

    async def end(self, turn: str, answer: str | None = None, entry: str = "", **more: Any) -> Closed:
        closed = await self.sessions.close(
            TurnOutcome(token=self.token, turn=turn, answer=answer, **more), entry
        )
        assert isinstance(closed, Closed), closed
        return closed

    async def say(self, message_id: str, text: str, answer: str) -> Frame:
        assert await self.ask(message_id, text) == Opened(message_id)
        return (await self.end(message_id, answer)).frame

    async def history(self) -> list[Any]:
        document = await self.sessions.get(self.token)
        assert document is not None
        return document["messages"]

    async def texts(self) -> list[Any]:
        return shape(await self.history())


def shape(messages: list[Any]) -> list[Any]:
    """Return the texts; an edited message as a pair of its text and its branches."""
    return [
        (each["msg"], [shape(branch) for branch in each["branches"]]) if "branches" in each else each["msg"]
        for each in messages
    ]


@pytest.fixture
async def talk(redis: Redis, redis_url: str) -> Talk:
    sessions = Sessions(redis, Settings(redis_url=redis_url))
    return Talk(sessions, (await sessions.create("Ada"))["token"])


async def test_an_edit_replaces_the_last_message_and_keeps_it_with_its_answer_beside(talk: Talk) -> None:
    await talk.say("m1", "first", "one")
    await talk.say("m2", "secnd", "what?")
    assert await talk.edit("e1", "second", "m2") == Opened("e1")
    assert await talk.sessions.context(talk.token, "e1", 4) == Context(
        ["Human: first", "Bot: one", "Human: second"]
    )
    frame = (await talk.end("e1", "two")).frame
    assert (frame["type"], frame["turn"], frame["msg"]) == ("message", "e1", "two")
    assert await talk.texts() == [
        "Human: first",
        "Bot: one",
        ("Human: second", [["Human: secnd", "Bot: what?"]]),
        "Bot: two",
    ]
    assert (await talk.history())[2]["branches"][0][0]["id"] == "m2"


async def test_each_edit_adds_a_branch_and_old_ones_stay_as_they_were(talk: Talk) -> None:
    await talk.say("m1", "a", "A")
    await talk.regenerate("r1")
    await talk.end("r1", "A again")
    await talk.edit("e1", "b")
    await talk.end("e1", error="model_timeout")
    await talk.edit("e2", "c")
    await talk.end("e2", "C")
    assert await talk.texts() == [
        ("Human: c", [["Human: a", "Bot: A again"], ["Human: b"]]),
        "Bot: C",
    ]
    first = (await talk.history())[0]["branches"][0]
    assert [each["msg"] for each in first[1]["alternatives"]] == ["Bot: A"]
    assert await talk.regenerate("r2") == Opened("r2")
    await talk.end("r2", "C again")
    assert (await talk.texts())[1] == "Bot: C again"


async def test_an_edit_twice_under_one_id_happens_once(talk: Talk) -> None:
    await talk.say("m1", "a", "A")
    assert await talk.edit("e1", "b", entry="1") == Opened("e1")
    assert await talk.edit("e1", "b", entry="1") == Opened("e1"), "the worker died before it sent the turn"
    assert await talk.edit("e1", "b", entry="2") == TurnRunning(), "the client sent it again"
    frame = (await talk.end("e1", "B", entry="3")).frame
    assert (await talk.end("e1", "B", entry="3")).frame == frame
    ended = await talk.edit("e1", "b", entry="2")
    assert isinstance(ended, Ended)
    assert ended.frame is not None
    assert (ended.frame["msg"], ended.duplicate) == ("B", True)
    assert await talk.texts() == [("Human: b", [["Human: a", "Bot: A"]]), "Bot: B"]


async def test_an_edit_of_a_message_that_is_not_the_last_any_more_replaces_nothing(talk: Talk) -> None:
    await talk.say("m1", "a", "A")
    await talk.say("m2", "b", "B")
    assert await talk.edit("e1", "a!", "m1") == Opened("e1")
    await talk.end("e1", "A!")
    assert await talk.texts() == ["Human: a", "Bot: A", "Human: b", "Bot: B", "Human: a!", "Bot: A!"]


async def test_an_edit_in_an_empty_session_is_its_first_message(talk: Talk) -> None:
    assert await talk.edit("e1", "hello") == Opened("e1")
    await talk.end("e1", "hi")
    assert await talk.texts() == ["Human: hello", "Bot: hi"]


async def test_an_edit_waits_for_the_running_turn_and_replaces_its_message(talk: Talk) -> None:
    await talk.ask("m1", "a")
    assert await talk.edit("e1", 'b "quoted" \\ /é', "m1", entry="1") == Queued(1)
    assert await talk.edit("e1", 'b "quoted" \\ /é', "m1", entry="2") == Queued(1, duplicate=True)
    closed = await talk.end("m1", "A", entry="9")
    assert closed.next_turn == "e1"
    assert (await talk.end("m1", "A", entry="9")).next_turn == "e1", "deliver died before it sent the turn"
    assert await talk.texts() == [('Human: b "quoted" \\ /é', [["Human: a", "Bot: A"]])]
    assert set((await talk.history())[0]) == {"id", "msg", "timestamp", "branches"}


async def test_an_edit_that_waits_for_another_message_becomes_one_of_its_own(talk: Talk) -> None:
    await talk.ask("m1", "a")
    await talk.ask("m2", "b")
    await talk.edit("e1", "a!", "m1")
    await talk.end("m1", "A")
    await talk.end("m2", "B")
    await talk.end("e1", "A!")
    assert await talk.texts() == ["Human: a", "Bot: A", "Human: b", "Bot: B", "Human: a!", "Bot: A!"]
    assert set((await talk.history())[4]) == {"id", "msg", "timestamp"}


async def test_an_edit_that_waits_can_be_stopped(talk: Talk) -> None:
    await talk.ask("m1", "a")
    await talk.edit("e1", "b")
    await talk.sessions.stop(talk.token, "e1")
    await talk.end("m1", "A")
    assert await talk.sessions.stop(talk.token) == Stopped("e1", running=False)
    context = await talk.sessions.context(talk.token, "e1", 4)
    assert context == Context(["Human: b"], stopped=True)


async def test_a_replaced_message_sent_again_finds_the_answer_it_had(talk: Talk) -> None:
    first = await talk.say("m1", "a", "A")
    await talk.regenerate("r1")
    again = (await talk.end("r1", "A again")).frame
    await talk.edit("e1", "b")
    await talk.end("e1", "B")
    for repeat, frame in (("m1", first), ("r1", again)):
        ended = await talk.ask(repeat, "a", entry="late")
        assert isinstance(ended, Ended)
        assert ended.frame is not None
        assert (ended.frame["id"], ended.frame["msg"]) == (frame["id"], frame["msg"])


async def test_a_client_that_knows_only_the_replaced_branch_gets_the_new_answer(talk: Talk) -> None:
    await talk.say("m0", "zero", "0")
    old = await talk.say("m1", "a", "A")
    await talk.edit("e1", "b")
    new = (await talk.end("e1", "B")).frame
    for known, missed in (("m1", [old, new]), (old["id"], [new])):
        view = await talk.sessions.snapshot(talk.token, known)
        assert view is not None
        assert view.resumed
        assert view.finished is not None
        assert [frame["id"] for frame in view.finished] == [frame["id"] for frame in missed]


async def test_the_id_of_the_replaced_message_must_be_one(talk: Talk) -> None:
    with pytest.raises(ValueError, match="not a message id"):
        await talk.edit("e1", "b", '"]')
