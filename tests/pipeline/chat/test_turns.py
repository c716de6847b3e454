"""Stopping, regenerating and coming back, against a real Redis: each operation, and each twice."""

from __future__ import annotations

import json
import uuid
from typing import Any

from redis.asyncio import Redis

from faust_redis.testing import eventually
from pipeline.chat.answer_runs import STORE_CHARACTERS, Run, Runs
from pipeline.chat.catch_up import Recent, resume, resume_lost
from pipeline.chat.records import NOTHING_TO_REGENERATE, answer_id
from pipeline.chat.results import (
    Context,
    Ended,
    Gone,
    HistoryMessage,
    Opened,
    Partial,
    Queued,
    Refused,
    Stale,
    Stopped,
    TurnRunning,
)
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import partial_key, session_key
from tests.pipeline.chat.talk import Talk


async def test_a_regenerated_answer_replaces_the_old_one_and_keeps_it_beside(talk: Talk) -> None:
    first = await talk.say("hi", "one")
    assert await talk.regenerate("r1") == Opened("r1")
    assert await talk.sessions.context(talk.token, "r1", 4) == Context(["Human: hi"])
    second = await talk.end("r1", "two")
    assert second == {
        "type": "message",
        "turn": "r1",
        "id": answer_id("r1"),
        "msg": "two",
        "timestamp": second["timestamp"],
        "replaces": first["id"],
    }
    old = {"id": first["id"], "msg": "Bot: one", "timestamp": first["timestamp"]}
    new = {"id": second["id"], "msg": "Bot: two", "timestamp": second["timestamp"], "turn": "r1"}
    assert (await talk.messages())[1:] == [{**new, "alternatives": [old]}]

    await talk.regenerate("r2")
    third = await talk.end("r2", 'three "quoted" \\ ü', stopped=True)
    (latest,) = (await talk.messages())[1:]
    assert latest["alternatives"] == [old, new]
    assert (latest["id"], latest["stopped"]) == (third["id"], True)
    assert third["replaces"] == second["id"]


async def test_a_regenerate_that_fails_leaves_the_old_answer(talk: Talk) -> None:
    await talk.say("hi", "one")
    before = await talk.messages()
    await talk.regenerate("r1")
    frame = await talk.end("r1", error="model_timeout")
    assert (frame["type"], frame["turn"], frame["error"]) == ("error", "r1", "model_timeout")
    assert await talk.messages() == before


async def test_a_regenerate_after_an_error_answers_the_message_itself(talk: Talk) -> None:
    await talk.ask("hi")
    await talk.end("m-hi", error="model_timeout")
    assert await talk.regenerate("r1") == Opened("r1")
    assert await talk.sessions.context(talk.token, "r1", 4) == Context(["Human: hi"])
    frame = await talk.end("r1", "one")
    assert "replaces" not in frame
    assert await talk.history() == ["Human: hi", "Bot: one"]


async def test_there_is_nothing_to_regenerate_in_an_empty_session(talk: Talk) -> None:
    refused = await talk.regenerate("r1", "ingest:0:1")
    assert isinstance(refused, Refused)
    assert (refused.frame["error"], refused.frame["refused"]) == (NOTHING_TO_REGENERATE, "r1")
    assert await talk.regenerate("r1", "ingest:0:1") == refused
    assert await talk.ask("hi") == Opened("m-hi")


async def test_a_regenerate_waits_for_the_running_turn_and_answers_its_message_anew(talk: Talk) -> None:
    await talk.ask("one")
    assert await talk.regenerate("r1", "ingest:0:2") == Queued(1)
    assert await talk.ask("two") == Queued(2)
    assert await talk.regenerate("r1", "ingest:0:2") == Queued(1)
    first = await talk.end("m-one", "1")
    assert await talk.sessions.context(talk.token, "r1", 4) == Context(["Human: one"])
    frame = await talk.end("r1", "1 again")
    assert frame["replaces"] == first["id"]
    await talk.end("m-two", "2")
    assert await talk.history() == ["Human: one", "Bot: 1 again", "Human: two", "Bot: 2"]


async def test_a_regenerate_twice_under_one_id_happens_once(talk: Talk) -> None:
    await talk.say("hi", "one")
    await talk.regenerate("r1", "ingest:0:1")
    assert await talk.regenerate("r1", "ingest:0:1") == Opened("r1")
    assert await talk.regenerate("r1", "ingest:0:2") == TurnRunning()
    frame = await talk.end("r1", "two", "deliver:0:1")
    assert await talk.end("r1", "three", "deliver:0:1") == frame
    assert await talk.regenerate("r1", "ingest:0:2") == Ended(frame, duplicate=True)
    assert [len(message.get("alternatives", [])) for message in await talk.messages()] == [0, 1]


async def test_a_message_sent_again_long_after_finds_its_answer_wherever_that_is(talk: Talk) -> None:
    first = await talk.say("hi", "one")
    await talk.regenerate("r1")
    await talk.end("r1", "two")
    await talk.say("more", "three")
    again = await talk.ask("hi", "ingest:0:9")
    assert again == Ended(first, duplicate=True)


async def test_a_message_that_failed_finds_its_error_when_sent_again(talk: Talk) -> None:
    await talk.ask("hi")
    frame = await talk.end("m-hi", error="model_loading", retryable=True, retry_after=20.0)
    assert (frame["retryable"], frame["retry_after"]) == (True, 20.0)
    assert await talk.ask("hi", "ingest:0:9") == Ended(frame, duplicate=True)


async def test_stopping_marks_the_open_turn_once_and_nothing_else(talk: Talk) -> None:
    assert await talk.sessions.stop(talk.token) == Stale()
    await talk.ask("one")
    await talk.ask("two")
    for _ in range(2):
        assert await talk.sessions.stop(talk.token) == Stopped("m-one", running=False)
    assert await talk.sessions.context(talk.token, "m-one", 4) == Context(["Human: one"], stopped=True)
    frame = await talk.end("m-one", "", stopped=True)
    assert (frame["msg"], frame["stopped"]) == ("", True)
    assert await talk.sessions.context(talk.token, "m-two", 4) == Context(
        ["Human: one", "Bot: ", "Human: two"]
    )
    assert (await talk.messages())[1]["stopped"] is True
    assert await talk.sessions.stop(talk.token, "m-one") == Stale()


async def test_a_message_that_waits_can_be_stopped_and_keeps_its_place(talk: Talk) -> None:
    for text in ("one", "two", "three"):
        await talk.ask(text)
    for _ in range(2):
        assert await talk.sessions.stop(talk.token, "m-two") == Queued(1)
    await talk.end("m-one", "1")
    assert await talk.sessions.context(talk.token, "m-two", 1) == Context(["Human: two"], stopped=True)
    await talk.end("m-two", "", stopped=True)
    assert await talk.sessions.context(talk.token, "m-three", 1) == Context(["Human: three"])


async def test_stopping_an_expired_session_is_gone(sessions: Sessions) -> None:
    assert await sessions.stop(str(uuid.uuid4())) == Gone()


async def test_a_run_keeps_what_it_says_for_those_who_join_until_the_turn_ends(
    talk: Talk, runs: Runs, redis: Redis
) -> None:
    await talk.ask("hi")
    run = await runs.begin(talk.token, "m-hi")
    assert isinstance(run, Run)
    for piece in ("Grüß", " dich", " 🦊"):
        run.say(piece)

    async def kept() -> bool:
        view = await talk.sessions.snapshot(talk.token)
        return view is not None and view.partial == Partial("m-hi", run.number, "Grüß dich 🦊")

    await eventually(kept, "all is kept")
    assert await redis.ttl(partial_key(talk.token)) > 0
    assert await talk.sessions.stop(talk.token) == Stopped("m-hi", running=True)
    await talk.end("m-hi", "Grüß dich 🦊")
    assert not await redis.exists(partial_key(talk.token))


async def test_the_pieces_of_an_answer_take_few_commands_to_store(
    talk: Talk, runs: Runs, redis: Redis
) -> None:
    await talk.ask("hi")
    run = await runs.begin(talk.token, "m-hi")
    assert isinstance(run, Run)
    stores = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    for _ in range(50):
        run.say("piece ")
        await eventually(lambda: not run.pending, "the piece to be sent")

    async def kept() -> bool:
        view = await talk.sessions.snapshot(talk.token)
        return view is not None and view.partial == Partial("m-hi", run.number, "piece " * 50)

    await eventually(kept, "all is kept")
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - stores < 25


async def test_a_long_text_is_stored_at_once(talk: Talk, runs: Runs, redis: Redis) -> None:
    await talk.ask("hi")
    run = await runs.begin(talk.token, "m-hi")
    assert isinstance(run, Run)
    run.say("x" * STORE_CHARACTERS)
    await eventually(lambda: not run.pending, "the text to be sent")
    run.end()  # text that waits to be stored is dropped now

    async def stored() -> bool:
        return await redis.strlen(partial_key(talk.token)) > STORE_CHARACTERS

    await eventually(stored, "the text is stored")


async def test_a_run_has_a_higher_number_than_one_before_the_clock_was_set_back(
    talk: Talk, runs: Runs, redis: Redis
) -> None:
    await talk.ask("hi")
    await redis.set(partial_key(talk.token), "4102444800000000 m-hi\nsome text")

    run = await runs.begin(talk.token, "m-hi")

    assert isinstance(run, Run)
    assert run.number == 4102444800000001
    assert await redis.get(partial_key(talk.token)) == b"4102444800000001 m-hi\n"


async def test_a_run_knows_when_it_is_not_wanted(talk: Talk, runs: Runs) -> None:
    assert await runs.begin(talk.token, "m-hi") == Stale()
    assert await runs.begin(str(uuid.uuid4()), "m-hi") == Gone()
    await talk.ask("hi")
    await talk.sessions.stop(talk.token)
    assert await runs.begin(talk.token, "m-hi") == ""


async def test_a_later_run_shuts_out_an_earlier_one(talk: Talk, runs: Runs) -> None:
    await talk.ask("hi")
    old = await runs.begin(talk.token, "m-hi")
    new = await runs.begin(talk.token, "m-hi")
    assert isinstance(old, Run)
    assert isinstance(new, Run)
    assert new.number > old.number
    stale: list[bool] = []
    old.on_stale = lambda: stale.append(True)
    new.say("new")
    old.say("old")
    await eventually(lambda: stale, "the old run hears of it")
    view = await talk.sessions.snapshot(talk.token)
    assert view is not None
    assert view.partial == Partial("m-hi", new.number, "new")


async def test_a_late_piece_of_a_finished_turn_is_not_kept(talk: Talk, runs: Runs, redis: Redis) -> None:
    await talk.ask("hi")
    run = await runs.begin(talk.token, "m-hi")
    assert isinstance(run, Run)
    await talk.end("m-hi", "done")
    run.say("late")
    await talk.ask("next")
    other = await runs.begin(talk.token, "m-next")
    assert isinstance(other, Run)
    stale: list[bool] = []
    run.on_stale = lambda: stale.append(True)
    run.say("later")
    await eventually(lambda: stale, "the run hears of it")


async def test_a_client_that_comes_back_gets_what_ended_since(talk: Talk) -> None:
    first = await talk.say("one", "1")
    assert await talk.missed(first["id"]) == []
    assert await talk.missed("m-one") == ["1"]
    await talk.say("two", "2")
    await talk.ask("three")
    failed = await talk.end("m-three", error="model_timeout", detail="too slow")
    await talk.say("four", "4")
    assert await talk.missed(first["id"]) == ["2", "too slow", "4"]
    assert await talk.missed("m-two") == ["2", "too slow", "4"]
    assert await talk.missed("m-three") == ["too slow", "4"]
    view = await talk.sessions.snapshot(talk.token, failed["id"])
    assert view is not None
    assert not view.resumed


async def test_a_client_that_knows_only_of_messages_in_the_queue_gets_the_answers_before(talk: Talk) -> None:
    for text in ("one", "two", "three"):
        await talk.ask(text)
    await talk.end("m-one", "1")
    assert await talk.missed("m-three") == ["1"]
    await talk.end("m-two", "2")
    assert await talk.missed("m-three") == ["1", "2"]
    await talk.end("m-three", "3")
    assert await talk.missed("m-three") == ["1", "2", "3"]


async def test_a_client_that_comes_back_gets_an_answer_that_replaced_what_it_has(talk: Talk) -> None:
    first = await talk.say("one", "1")
    await talk.regenerate("r1")
    assert await talk.missed("r1") == []
    second = await talk.end("r1", "1b")
    view = await talk.sessions.snapshot(talk.token, first["id"])
    assert view is not None
    assert view.finished == [second]
    assert await talk.missed("r1") == ["1b"]
    await talk.regenerate("r2")
    await talk.end("r2", "1c")
    assert await talk.missed("r2") == ["1c"]
    assert await talk.missed(second["id"]) == ["1c"]


def of_history(*messages: tuple[str, str, str]) -> Recent:
    """Return a session with the last part of its history: an id, a text and a time for each message."""
    part = [HistoryMessage(id=name, msg=text, timestamp=at) for name, text, at in messages]
    return Recent(part, [], [], [], None, whole=False)


def test_an_answer_without_its_message_is_left_out() -> None:
    session = of_history(("a0", "Bot: 0", "t1"), ("m1", "Human: one", "t2"), ("a1", "Bot: 1", "t3"))
    for view in (resume_lost(session), resume(session, "m1")):
        assert view is not None
        assert [(frame["turn"], frame["msg"]) for frame in view.finished or ()] == [("m1", "1")]


def test_a_message_that_waited_does_not_show_that_all_later_answers_are_there() -> None:
    # The answer before it, which is not in this part, came at t3.
    session = of_history(("m2", "Human: two", "t1"), ("a2", "Bot: 2", "t4"), ("m3", "Human: three", "t2"))
    assert resume(session, "m3") is None


async def test_an_unknown_id_gets_the_whole_history(talk: Talk) -> None:
    await talk.say("one", "1")
    await talk.say("two", "2")
    view = await talk.sessions.snapshot(talk.token, "nobody-knows")
    assert view is not None
    assert not view.resumed
    assert view.finished is not None
    assert [frame["msg"] for frame in view.finished] == ["1", "2"]
    assert [frame["turn"] for frame in view.finished] == ["m-one", "m-two"]


async def test_what_a_client_says_to_have_does_not_wait_for_it_any_more(talk: Talk) -> None:
    first = await talk.say("one", "1")
    second = await talk.say("two", "2")
    view = await talk.sessions.snapshot(talk.token, first["id"])
    assert view is not None
    assert view.earlier == {first["id"]}
    assert view.finished == [second]


async def test_a_client_that_was_away_for_long_gets_all_of_it(talk: Talk, redis: Redis) -> None:
    first = await talk.say("one", "1")
    second = await talk.say("two", "2")
    items = [
        {"id": f"old-{number}", "msg": f"{who}: {number}", "timestamp": "2999-01-01T00:00:00.000000Z"}
        for number in range(100)
        for who in ("Human", "Bot")
    ]
    await execute(
        redis, "JSON.ARRAPPEND", session_key(talk.token), "$.messages", *(json.dumps(item) for item in items)
    )
    missed = await talk.missed(first["id"])
    assert missed == [second["msg"], *(str(number) for number in range(100))]
    view = await talk.sessions.snapshot(talk.token, since=second["timestamp"])
    assert view is not None
    assert view.finished is not None
    # With what no socket has taken, whenever that was.
    assert [frame["msg"] for frame in view.finished] == ["1", "2", *(str(number) for number in range(100))]


async def test_a_message_that_the_model_does_not_take_is_no_context_of_later_turns(talk: Talk) -> None:
    await talk.say("hi", "hello")
    await talk.ask("long")
    error = await talk.end("m-long", error="model_rejected", refused=True)
    assert error["error"] == "model_rejected"
    await talk.ask("next")
    assert await talk.sessions.context(talk.token, "m-next", 4) == Context(
        ["Human: hi", "Bot: hello", "Human: next"]
    )
    assert await talk.history() == ["Human: hi", "Bot: hello", "Human: long", "Human: next"]


async def test_a_message_that_was_not_taken_may_be_tried_again(talk: Talk) -> None:
    await talk.ask("long")
    await talk.end("m-long", error="model_rejected", refused=True)
    await talk.regenerate("r1")
    assert await talk.sessions.context(talk.token, "r1", 4) == Context(["Human: long"])
    await talk.end("r1", "fine now")
    assert await talk.history() == ["Human: long", "Bot: fine now"]


async def test_an_answer_stays_context_when_another_one_to_its_message_was_refused(talk: Talk) -> None:
    await talk.say("hi", "hello")
    await talk.regenerate("r1")
    await talk.end("r1", error="model_rejected", refused=True)
    await talk.ask("next")
    context = await talk.sessions.context(talk.token, "m-next", 4)
    assert context == Context(["Human: hi", "Bot: hello", "Human: next"])


async def test_what_the_model_reports_stands_in_the_frame_and_in_the_history(talk: Talk) -> None:
    facts: dict[str, Any] = {"shortened": True, "usage": {"input_tokens": 30, "output_tokens": 4}}
    await talk.ask("hi")
    frame: Any = await talk.end("m-hi", "hello", **facts)
    (_, message) = await talk.messages()
    assert {name: frame[name] for name in facts} == facts
    assert {name: message[name] for name in facts} == facts
    view = await talk.sessions.snapshot(talk.token, "m-hi")
    assert view is not None
    assert view.finished == [frame]
