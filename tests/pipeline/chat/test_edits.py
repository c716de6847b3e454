"""Editing the last message, against a real Redis: each operation, and each twice."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.chat.results import Context, Ended, Opened, Queued, Stopped, TurnRunning
from tests.pipeline.chat.talk import Talk


def shape(messages: list[Any]) -> list[Any]:
    """Return the texts; an edited message as a pair of its text and its branches."""
    return [
        (each["msg"], [shape(branch) for branch in each["branches"]]) if "branches" in each else each["msg"]
        for each in messages
    ]


async def test_an_edit_replaces_the_last_message_and_keeps_it_with_its_answer_beside(talk: Talk) -> None:
    await talk.say("first", "one")
    await talk.say("secnd", "what?")
    assert await talk.edit("e1", "second", "m-secnd") == Opened("e1")
    assert await talk.sessions.context(talk.token, "e1", 4) == Context(
        ["Human: first", "Bot: one", "Human: second"]
    )
    frame = await talk.end("e1", "two")
    assert (frame["type"], frame["turn"], frame["msg"]) == ("message", "e1", "two")
    assert shape(await talk.messages()) == [
        "Human: first",
        "Bot: one",
        ("Human: second", [["Human: secnd", "Bot: what?"]]),
        "Bot: two",
    ]
    assert (await talk.messages())[2]["branches"][0][0]["id"] == "m-secnd"


async def test_each_edit_adds_a_branch_and_old_ones_stay_as_they_were(talk: Talk) -> None:
    await talk.say("a", "A")
    await talk.regenerate("r1")
    await talk.end("r1", "A again")
    await talk.edit("e1", "b")
    await talk.end("e1", error="model_timeout")
    await talk.edit("e2", "c")
    await talk.end("e2", "C")
    assert shape(await talk.messages()) == [
        ("Human: c", [["Human: a", "Bot: A again"], ["Human: b"]]),
        "Bot: C",
    ]
    first = (await talk.messages())[0]["branches"][0]
    assert [each["msg"] for each in first[1]["alternatives"]] == ["Bot: A"]
    assert await talk.regenerate("r2") == Opened("r2")
    await talk.end("r2", "C again")
    assert (shape(await talk.messages()))[1] == "Bot: C again"


async def test_an_edit_twice_under_one_id_happens_once(talk: Talk) -> None:
    await talk.say("a", "A")
    assert await talk.edit("e1", "b", entry="1") == Opened("e1")
    assert await talk.edit("e1", "b", entry="1") == Opened("e1"), "the worker died before it sent the turn"
    assert await talk.edit("e1", "b", entry="2") == TurnRunning(), "the client sent it again"
    frame = await talk.end("e1", "B", entry="3")
    assert await talk.end("e1", "B", entry="3") == frame
    ended = await talk.edit("e1", "b", entry="2")
    assert isinstance(ended, Ended)
    assert ended.frame is not None
    assert (ended.frame["msg"], ended.duplicate) == ("B", True)
    assert shape(await talk.messages()) == [("Human: b", [["Human: a", "Bot: A"]]), "Bot: B"]


async def test_an_edit_of_a_message_that_is_not_the_last_any_more_replaces_nothing(talk: Talk) -> None:
    await talk.say("a", "A")
    await talk.say("b", "B")
    assert await talk.edit("e1", "a!", "m-a") == Opened("e1")
    await talk.end("e1", "A!")
    assert shape(await talk.messages()) == [
        "Human: a",
        "Bot: A",
        "Human: b",
        "Bot: B",
        "Human: a!",
        "Bot: A!",
    ]


async def test_an_edit_in_an_empty_session_is_its_first_message(talk: Talk) -> None:
    assert await talk.edit("e1", "hello") == Opened("e1")
    await talk.end("e1", "hi")
    assert shape(await talk.messages()) == ["Human: hello", "Bot: hi"]


async def test_an_edit_waits_for_the_running_turn_and_replaces_its_message(talk: Talk) -> None:
    await talk.ask("a")
    assert await talk.edit("e1", 'b "quoted" \\ /é', "m-a", entry="1") == Queued(1)
    assert await talk.edit("e1", 'b "quoted" \\ /é', "m-a", entry="2") == Queued(1, duplicate=True)
    closed = await talk.close("m-a", "A", entry="9")
    assert closed.next_turn == "e1"
    assert (await talk.close("m-a", "A", entry="9")).next_turn == "e1", "deliver died before it sent the turn"
    assert shape(await talk.messages()) == [('Human: b "quoted" \\ /é', [["Human: a", "Bot: A"]])]
    assert set((await talk.messages())[0]) == {"id", "msg", "timestamp", "branches"}


async def test_an_edit_that_waits_for_another_message_becomes_one_of_its_own(talk: Talk) -> None:
    await talk.ask("a")
    await talk.ask("b")
    await talk.edit("e1", "a!", "m-a")
    await talk.end("m-a", "A")
    await talk.end("m-b", "B")
    await talk.end("e1", "A!")
    assert shape(await talk.messages()) == [
        "Human: a",
        "Bot: A",
        "Human: b",
        "Bot: B",
        "Human: a!",
        "Bot: A!",
    ]
    assert set((await talk.messages())[4]) == {"id", "msg", "timestamp"}


async def test_an_edit_that_waits_can_be_stopped(talk: Talk) -> None:
    await talk.ask("a")
    await talk.edit("e1", "b")
    await talk.sessions.stop(talk.token, "e1")
    await talk.end("m-a", "A")
    assert await talk.sessions.stop(talk.token) == Stopped("e1", running=False)
    context = await talk.sessions.context(talk.token, "e1", 4)
    assert context == Context(["Human: b"], stopped=True)


async def test_a_replaced_message_sent_again_finds_the_answer_it_had(talk: Talk) -> None:
    first = await talk.say("a", "A")
    await talk.regenerate("r1")
    again = await talk.end("r1", "A again")
    await talk.edit("e1", "b")
    await talk.end("e1", "B")
    for repeat, frame in (("m-a", first), ("r1", again)):
        ended = await talk.ask("a", "late", message_id=repeat)
        assert isinstance(ended, Ended)
        assert ended.frame is not None
        assert (ended.frame["id"], ended.frame["msg"]) == (frame["id"], frame["msg"])


async def test_a_client_that_knows_only_the_replaced_branch_gets_the_new_answer(talk: Talk) -> None:
    await talk.say("zero", "0")
    old = await talk.say("a", "A")
    await talk.edit("e1", "b")
    new = await talk.end("e1", "B")
    for known, missed in (("m-a", [old, new]), (old["id"], [new])):
        view = await talk.sessions.snapshot(talk.token, known)
        assert view is not None
        assert view.resumed
        assert view.finished is not None
        assert [frame["id"] for frame in view.finished] == [frame["id"] for frame in missed]


async def test_the_id_of_the_replaced_message_must_be_one(talk: Talk) -> None:
    with pytest.raises(ValueError, match="not a message id"):
        await talk.edit("e1", "b", '"]')
