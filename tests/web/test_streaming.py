"""Sockets of `parley.v1`, with a real Redis; the test is the pipeline behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from faust_redis.testing import eventually
from pipeline.chat.answer_runs import Run, Runs
from pipeline.chat.presence import Presence
from pipeline.chat.records import ANY_LAST, SESSION_EXPIRED, Frame, Inbound, TurnOutcome, error_frame
from pipeline.chat.results import Closed
from tests.web.conftest import Node, ServeNode
from web import keys, limits
from web.chat.protocol import ClientMessage


async def begin(node: Node, token: str, turn: str) -> tuple[Run, Runs]:
    """Open a turn and begin to answer it, as the stages do."""
    await node.sessions.accept(Inbound(token=token, id=turn, text="hi", sent_at=0.0))
    runs = Runs(node.redis, Presence(node.redis))
    run = await runs.begin(token, turn)
    assert isinstance(run, Run)
    return run, runs


async def finish(node: Node, run: Run, answer: str, **more: Any) -> Frame:
    """Close the turn and publish its frame, as deliver does."""
    outcome = TurnOutcome(token=run.token, turn=run.turn, answer=answer, **more)
    closed = await node.sessions.close(outcome)
    assert isinstance(closed, Closed)
    await node.publish(run.token, closed.frame)
    return closed.frame


async def test_frames_of_a_client_become_messages_and_others_are_refused(node: Node) -> None:
    socket = await node.client.stream(await node.client.token())
    await socket.say("Hello", "m1")
    await socket.put(type="regenerate", id="r1")
    await eventually(lambda: len(node.intake.messages) == 2, "both to be sent on")
    assert [replace(message, follows=message.follows or None) for _, message in node.intake.messages] == [
        ClientMessage("m1", "Hello"),
        ClientMessage("r1", "", regenerate=True, follows="m1"),
    ]
    for bad in ("Hello", "{", '{"type":"?"}', '{"type":"message","id":"x","text":""}'):
        await socket.send(bad)
        error = await socket.frame()
        assert (error["type"], error["code"], error["retryable"]) == ("error", "bad_message", False)
        assert error["detail"]
    await socket.socket.send_bytes(b"{}")
    assert (await socket.frame())["code"] == "bad_message"


async def test_an_unknown_subprotocol_is_spoken_to_as_a_plain_client(node: Node) -> None:
    token = await node.client.token()
    async with node.http.ws_connect("/chat", params={"token": token}, protocols=("parley.v9",)) as socket:
        assert socket.protocol is None


async def test_an_answer_streams_to_every_socket_and_a_plain_one_gets_it_whole(node: Node) -> None:
    token = await node.client.token()
    tabs = [await node.client.stream(token) for _ in range(2)]
    plain = await node.client.open(token)
    await node.joined(token, 3)
    run, runs = await begin(node, token, "t1")
    for piece in ("One", " two", " three"):
        run.say(piece)
    for tab in tabs:
        await tab.reads("t1", "One two three")
    final = await finish(node, run, "One two three")
    for tab in tabs:
        message = await tab.until("message")
        assert (message["turn"], message["id"]) == ("t1", final["id"])
        assert [frame["type"] for frame in tab.frames].count("start") == 1
    assert (await plain.answer())["msg"] == "One two three"
    assert await plain.silent(0.1)
    await runs.stop()


async def test_a_socket_that_joins_in_mid_answer_gets_the_text_so_far_first(node: Node) -> None:
    token = await node.client.token()
    first = await node.client.stream(token)
    await node.joined(token)
    run, runs = await begin(node, token, "t1")
    run.say("One two")
    await first.reads("t1", "One two")
    late = await node.client.stream(token)
    start, so_far = await late.frame(), await late.frame()
    assert (start["type"], so_far["index"], so_far["text"]) == ("start", 0, "One two")
    run.say(" three")
    await finish(node, run, "One two three")
    for socket in (first, late):
        await socket.until("message")
    await runs.stop()


async def test_a_second_run_begins_the_answer_anew_on_every_node(serve: ServeNode) -> None:
    one = await serve()
    two = await serve()
    token = await one.client.token()
    sockets = [await one.client.stream(token), await two.client.stream(token)]
    await one.joined(token)
    await two.joined(token)
    run, runs = await begin(one, token, "t1")
    run.say("A first try")
    for socket in sockets:
        await socket.reads("t1", "A first try")
    again, more = await begin(two, token, "t1")
    again.say("Another")
    run.say(" that nobody hears")
    again.say(" one")
    await finish(one, again, "Another one")
    for socket in sockets:
        await socket.until("message")
        assert [frame["type"] for frame in socket.frames].count("start") == 2
    await runs.stop()
    await more.stop()


@pytest.mark.slow
async def test_pieces_lost_on_the_way_are_made_up_for(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    run, runs = await begin(node, token, "t1")
    run.say("One")
    await socket.reads("t1", "One")
    await node.redis.delete(*await node.redis.keys("web:*"))
    run.say(" two")  # to a stream that is gone

    async def heard() -> bool:
        return b"1" in (await node.redis.hvals(f"presence:{{{token}}}"))

    await eventually(heard, "the node is present again")
    run.say(" three")
    await socket.reads("t1", "One two three")
    await finish(node, run, "One two three")
    await socket.until("message")
    await runs.stop()


async def test_after_brings_what_ended_since_then_the_running_turn(node: Node) -> None:
    token = await node.client.token()
    kept = [await node.finish(token, text, f"to {text}") for text in ("one", "two", "three")]
    run, runs = await begin(node, token, "t1")
    run.say("so far")

    async def told() -> bool:
        view = await node.sessions.snapshot(token)
        return view is not None and view.partial is not None and view.partial.text == "so far"

    await eventually(told, "the answer has begun")
    socket = await node.client.stream(token, after=kept[0]["id"])
    got = [await socket.frame() for _ in range(4)]
    assert [frame["type"] for frame in got] == ["message", "message", "start", "token"]
    assert [frame["id"] for frame in got[:2]] == [kept[1]["id"], kept[2]["id"]]
    await finish(node, run, "so far so good")
    await socket.until("message")
    assert await socket.silent(0.1)

    async def none_left() -> bool:
        return await node.sessions.unsent(token) == []

    await eventually(none_left, "nothing waits for a socket any more")
    await runs.stop()


async def test_pieces_that_come_again_after_the_end_of_their_turn_reach_no_socket_that_resumes_after_it(
    node: Node,
) -> None:
    token = await node.client.token()
    run, runs = await begin(node, token, "t1")
    final = await finish(node, run, "One")
    await runs.stop()
    socket = await node.client.stream(token, after=final["id"])
    await node.joined(token)

    late: list[Frame] = [
        {"type": "start", "turn": "t1", "run": run.number},
        {"type": "token", "turn": "t1", "run": run.number, "at": 0, "text": "One"},
    ]
    for frame in late:
        await node.publish(token, frame)
    run, runs = await begin(node, token, "t2")
    run.say("Two")
    await socket.reads("t2", "Two")
    assert [frame["turn"] for frame in socket.frames if frame["type"] in ("start", "token")] == ["t2", "t2"]
    await runs.stop()


async def test_after_an_unknown_id_says_so_and_brings_everything(node: Node) -> None:
    token = await node.client.token()
    kept = [await node.finish(token, text, f"to {text}") for text in ("one", "two")]
    socket = await node.client.stream(token, after="nobody-knows")
    error = await socket.frame()
    assert (error["type"], error["code"], error["retryable"]) == ("error", "resume_failed", False)
    assert [(await socket.frame())["id"] for _ in kept] == [frame["id"] for frame in kept]
    assert await socket.silent(0.1)


async def test_after_an_expired_session_is_refused(node: Node) -> None:
    token = await node.client.token()
    kept = await node.finish(token, "one", "1")
    await node.redis.delete(f"session:{{{token}}}")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await node.client.stream(token, after=kept["id"])
    assert refused.value.status == 403


async def test_every_message_of_a_session_that_expired_is_ended_or_refused(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    for turn in ("t1", "t2", "t3"):
        await socket.say("hi", turn)
    await eventually(lambda: len(node.intake.messages) == 3, "the messages to be sent on")
    accepted: list[Frame] = [
        {"type": "accepted", "id": turn, "position": place} for place, turn in enumerate(("t1", "t2"))
    ]
    await node.publish(token, *accepted, error_frame("t1", SESSION_EXPIRED))
    *_, first, second, third = [await socket.frame() for _ in range(5)]
    assert {frame["code"] for frame in (first, second, third)} == {SESSION_EXPIRED}
    assert (first["turn"], second["turn"], third["id"]) == ("t1", "t2", "t3")


async def test_a_message_sent_again_gets_the_answer_it_has_on_that_socket_only(node: Node) -> None:
    token = await node.client.token()
    run, runs = await begin(node, token, "t1")
    final = await finish(node, run, "done")
    old = await node.client.stream(token)
    assert (await old.frame())["id"] == final["id"]  # nobody had it
    new = await node.client.stream(token, after=final["id"])
    await node.joined(token, 2)
    await new.say("hi", "t1")
    await eventually(lambda: node.intake.messages, "the message to be sent on")
    notice: Frame = {"type": "accepted", "id": "t1", "position": 0, "duplicate": True, "ending": final}
    await node.publish(token, notice)
    accepted = await new.frame()
    assert accepted == {"type": "accepted", "id": "t1", "position": 0, "duplicate": True}
    assert await new.silent(0.1)  # `after` said that it has the answer
    other = await node.client.stream(token, after="t1")
    assert (await other.frame())["id"] == final["id"]
    assert await old.silent(0.1)
    await runs.stop()


async def test_stop_ends_a_turn_that_no_worker_has_begun(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await socket.put(type="stop")  # nothing runs
    await node.sessions.accept(Inbound(token=token, id="t1", text="hi", sent_at=0.0))
    await socket.put(type="stop", turn="t0")  # that one does not run
    await socket.put(type="stop")
    await eventually(lambda: node.intake.stopped == [(token, "t1")], "the turn to be ended")
    assert await socket.silent(0.1)


async def test_stop_right_behind_a_message_meets_it_once_it_is_accepted(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    await socket.say("hi", "t1")
    await socket.put(type="stop")
    await eventually(lambda: node.intake.messages, "the message to be sent on")
    await socket.socket.ping()
    assert await socket.silent(0.1)
    await node.sessions.accept(Inbound(token=token, id="t1", text="hi", sent_at=0.0))
    await node.publish(token, {"type": "accepted", "id": "t1", "position": 0})
    await eventually(lambda: node.intake.stopped == [(token, "t1")], "the turn to be ended")


@pytest.mark.slow
async def test_tokens_for_a_reader_that_pauses_come_together_and_none_is_missing(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    run, runs = await begin(node, token, "t1")
    await socket.until("start")
    connection = socket.socket._response.connection
    assert connection is not None
    transport: Any = connection.transport
    transport.pause_reading()
    pieces = [f"{number} " * 100 for number in range(20_000)]
    for number, piece in enumerate(pieces):
        run.say(piece)
        if number % 100 == 0:
            await eventually(lambda: not run.pending, "the pieces to be sent")
    text = "".join(pieces).strip()
    await finish(node, run, text)
    transport.resume_reading()
    message = await socket.until("message", 30)
    assert message["msg"] == text
    await runs.stop()


async def test_a_ping_is_answered_at_once_and_changes_nothing(node: Node) -> None:
    socket = await node.client.stream(await node.client.token())
    await socket.put(type="ping")
    assert await socket.answer() == {"type": "pong"}
    assert await socket.silent()
    assert node.intake.messages == []


async def test_a_plain_client_is_never_asked_nor_answered_about_pings(node: Node) -> None:
    socket = await node.client.open(await node.client.token())
    await socket.send('{"type":"ping"}')
    await eventually(lambda: node.intake.texts == ['{"type":"ping"}'], "it is a message as any other")
    assert await socket.silent()


async def test_a_client_that_is_silent_is_dropped(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.2)
    deaf = await node.client.open(await node.client.token(), autoping=False)
    assert len(node.app[keys.OPEN]) == 1
    await eventually(lambda: not node.app[keys.OPEN], "the server drops a socket that answers no ping")
    await deaf.close()


async def test_edits_become_messages_that_name_what_they_replace(node: Node) -> None:
    socket = await node.client.stream(await node.client.token())
    await socket.put(type="edit", id="e1", text="better")
    await socket.put(type="edit", id="e2", text="best", replaces="e1")
    await eventually(lambda: len(node.intake.messages) == 2, "both to be sent on")
    assert [replace(message, follows=message.follows or None) for _, message in node.intake.messages] == [
        ClientMessage("e1", "better", edits=ANY_LAST),
        ClientMessage("e2", "best", edits="e1", follows="e1"),
    ]
    for bad in ({"replaces": '"'}, {"replaces": 1}, {"text": " "}, {"id": None}):
        await socket.put(**{"type": "edit", "id": "e3", "text": "worse", **bad})
        error = await socket.frame()
        assert (error["type"], error["code"]) == ("error", "bad_message")


async def test_thoughts_go_to_the_sockets_that_ask_for_them(node: Node) -> None:
    token = await node.client.token()
    asking = await node.client.stream(token, include="other,thoughts")
    silent = await node.client.stream(token)
    await node.joined(token, 2)
    run, runs = await begin(node, token, "m1")
    run.think("Hm, ")
    run.think("so.")
    run.end_thoughts(3.21)
    run.say("Hello")
    for socket in (asking, silent):
        await socket.until("start")
    thoughts = [await asking.frame(), await asking.frame()]
    assert thoughts == [
        {"type": "thought", "turn": "m1", "index": 0, "text": "Hm, so."},
        {"type": "thought_end", "turn": "m1", "seconds": 3.2},
    ]
    for socket in (asking, silent):
        assert (await socket.frame())["text"] == "Hello"
    usage = {"input_tokens": 3, "output_tokens": 4}
    await finish(node, run, "Hello", usage=usage, shortened=True)
    for socket in (asking, silent):
        answer = await socket.frame()
        assert (answer["msg"], answer["usage"], answer["shortened"]) == ("Hello", usage, True)
    await runs.stop()


async def test_a_plain_socket_sees_neither_thoughts_nor_what_the_model_reports(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)
    run, runs = await begin(node, token, "m1")
    run.think("Hm.")
    run.say("Hello")
    await finish(node, run, "Hello", usage={"input_tokens": 3, "output_tokens": 4}, shortened=True)
    assert sorted(await socket.answer()) == ["id", "msg", "timestamp"]
    await runs.stop()
