"""The frames that a socket of ``parley.v1`` receives, without a socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipeline.chat.records import Frame, error_frame, refusal_frame
from pipeline.chat.results import Partial
from web.chat.parley_v1 import ParleyV1, StreamView
from web.chat.protocol import ClientMessage, Out, Refusal, RunningAnswer, Stop, ThoughtToken, Token

PROTOCOL = ParleyV1()


def told(outs: list[Out]) -> list[dict[str, Any]]:
    return [orjson.loads(out if isinstance(out, bytes) else out.encode()) for out in outs]


def start(turn: str = "t", run: int = 1) -> Frame:
    return {"type": "start", "turn": turn, "run": run}


def token(at: int, text: str, turn: str = "t", run: int = 1) -> Frame:
    return {"type": "token", "turn": turn, "run": run, "at": at, "text": text}


def message(msg: str, turn: str = "t", **more: Any) -> Frame:
    frame: Any = {"type": "message", "turn": turn, "id": f"a-{turn}", "msg": msg, "timestamp": "now", **more}
    result: Frame = frame
    return result


def show(view: StreamView, *frames: Frame, is_live: bool = True) -> list[dict[str, Any]]:
    return told([out for frame in frames for out in view.show(frame, is_live=is_live)])


def short(frames: list[dict[str, Any]]) -> list[Any]:
    """Return the frames as they read at a glance."""
    return [
        frame["text"] if frame["type"] == "token" else frame.get("msg", frame["type"]) for frame in frames
    ]


def is_lost(view: StreamView) -> bool:
    """Return whether it asks for a look; a function, as a property is not expected to change."""
    return view.lost


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"type":"message","id":"1-a","text":"Hi"}', ClientMessage("1-a", "Hi")),
        ('{"type":"stop"}', Stop()),
        ('{"type":"stop","turn":"1"}', Stop("1")),
        ('{"type":"regenerate","id":"r"}', ClientMessage("r", "", regenerate=True)),
        ('{"type":"message","id":"1","text":"  "}', ("bad_message", "1")),
        ('{"type":"message","id":"1","text":"123456789"}', ("message_too_large", "1")),
        ('{"type":"message","id":"1"}', ("bad_message", "1")),
        ('{"type":"message","id":"1 2","text":"Hi"}', ("bad_message", None)),
        ('{"type":"message","text":"Hi"}', ("bad_message", None)),
        ('{"type":"stop","turn":1}', ("bad_message", None)),
        ('{"type":"regenerate","id":null}', ("bad_message", None)),
        ('{"type":"hello"}', ("bad_message", None)),
        ('{"type":["stop"]}', ("bad_message", None)),
        ("[1]", ("bad_message", None)),
        ("Hello", ("bad_message", None)),
        ("", ("bad_message", None)),
        ("\ud800", ("bad_message", None)),
    ],
)
def test_a_frame_is_read_or_what_is_wrong_with_it_named(text: str, read: Any) -> None:
    got = PROTOCOL.read_text(text, 8)
    assert (got.code, got.id) == read if isinstance(got, Refusal) else got == read
    assert not isinstance(got, Refusal) or got.reason


def test_a_regenerate_without_an_id_gets_one() -> None:
    first, second = (PROTOCOL.read_text('{"type":"regenerate"}', 8) for _ in range(2))
    assert isinstance(first, ClientMessage)
    assert isinstance(second, ClientMessage)
    assert first.id != second.id


def test_tokens_are_numbered_from_each_start_and_add_up() -> None:
    view = StreamView()
    frames = show(view, start(), token(0, "a"), token(1, "bc"), start(run=2), token(0, "x", run=2))
    assert short(frames) == ["start", "a", "bc", "start", "x"]
    assert [frame["index"] for frame in frames if "index" in frame] == [0, 1, 0]


def test_pieces_that_wait_for_the_socket_become_one_token() -> None:
    view = StreamView()
    view.show(start())
    (first,), (second,) = view.show(token(0, "a")), view.show(token(1, "b"))
    assert not isinstance(first, bytes)
    assert not isinstance(second, bytes)
    assert first.join(second)
    assert told([first]) == [{"type": "token", "turn": "t", "index": 0, "text": "ab"}]
    (third,) = told(view.show(token(2, "c")))
    assert third["index"] == 1


def test_what_came_before_is_not_told_again() -> None:
    view = StreamView()
    frames = show(view, start(), token(0, "abc"), start(), token(0, "ab"), token(2, "cd"), token(4, "e"))
    assert short(frames) == ["start", "abc", "d", "e"]


def test_an_older_run_is_not_heard_once_a_newer_one_began() -> None:
    view = StreamView()
    frames = show(view, start(run=2), token(0, "n", run=2), start(run=1), token(0, "old", run=1))
    assert short(frames) == ["start", "n"]


def test_the_whole_answer_brings_the_tokens_that_are_missing() -> None:
    view = StreamView()
    assert short(show(view, start(), token(0, "ab"), message("abcd"))) == ["start", "ab", "cd", "abcd"]
    # Late frames are ignored.
    assert show(view, token(2, "cd"), start(), start(run=9)) == []


def test_another_answer_than_the_one_that_was_shown_begins_anew() -> None:
    view = StreamView()
    frames = show(view, start(), token(0, "ab"), message("xyz"))
    assert short(frames) == ["start", "ab", "start", "xyz", "xyz"]
    assert frames[3]["index"] == 0
    view = StreamView()
    assert short(show(view, start(), token(0, "ab"), message("", stopped=True))) == [
        "start",
        "ab",
        "start",
        "",
    ]


def test_a_socket_that_joins_is_told_the_text_so_far_and_then_what_follows() -> None:
    view = StreamView()
    outs = told(view.show_partial(Partial("t", 1, "Hello", regenerates="old")))
    assert outs == [
        {"type": "start", "turn": "t", "regenerates": "old"},
        {"type": "token", "turn": "t", "index": 0, "text": "Hello"},
    ]
    assert short(show(view, start(), token(3, "lo w"), token(7, "orld"))) == [" w", "orld"]


def test_a_gap_is_looked_for_once_and_then_left_to_the_whole_answer() -> None:
    view = StreamView()
    show(view, start(), token(0, "a"))
    assert show(view, token(2, "c")) == []
    assert is_lost(view)
    assert short(told(view.show_partial(Partial("t", 1, "abc")))) == ["bc"]
    view.looked()
    assert not is_lost(view)
    assert short(show(view, token(3, "d"), token(9, "z"))) == ["d"]
    assert is_lost(view)
    view.looked()  # in vain
    assert show(view, token(10, "y")) == []
    assert not is_lost(view)
    assert short(show(view, message("abcdefghizy"))) == ["efghizy", "abcdefghizy"]


def test_tokens_of_a_turn_whose_start_was_lost_ask_for_a_look() -> None:
    view = StreamView()
    assert show(view, token(5, "x")) == []
    assert is_lost(view)


def test_a_turn_that_begins_before_the_last_one_ended_asks_for_a_look() -> None:
    view = StreamView()
    show(view, start(), token(0, "a"))
    assert short(show(view, start("u"))) == ["start"]
    assert is_lost(view)
    view.looked()
    assert short(show(view, message("abc"), token(0, "x", "u"))) == ["start", "abc", "abc", "x"]
    assert not is_lost(view)


def test_accepted_comes_before_anything_else_of_its_message_and_once() -> None:
    view = StreamView()
    view.asked("t")
    frames = show(view, start(), {"type": "accepted", "id": "t", "position": 0}, message(""))
    assert short(frames) == ["accepted", "start", ""]
    view.asked("u")
    assert short(show(view, error_frame("u", "model_timeout"))) == ["accepted", "error"]


def test_a_socket_that_asked_is_told_a_whole_answer_whose_beginning_it_missed() -> None:
    view = StreamView()
    view.asked("t")
    assert short(show(view, message("abc"))) == ["accepted", "start", "abc", "abc"]
    view.asked("u")
    ending: Frame = {"type": "accepted", "id": "u", "position": 0, "duplicate": True, "ending": None}
    assert short(show(view, ending, message("abc", "u"), is_live=False)) == ["accepted", "abc"]
    assert short(show(view, message("abc", "v"), is_live=False)) == ["abc"]


def test_each_sending_of_a_message_is_accepted_once() -> None:
    view = StreamView()
    for _ in range(2):
        view.asked("m")
    first: Frame = {"type": "accepted", "id": "m", "position": 1}
    again: Frame = {**first, "duplicate": True}
    frames = show(view, first, first, again, again)
    assert [frame.get("duplicate", False) for frame in frames] == [False, False]
    assert show(view, first, again) == []


def test_another_tab_hears_of_a_message_but_not_of_its_repeats() -> None:
    view = StreamView()
    first: Frame = {"type": "accepted", "id": "m", "position": 1}
    assert short(show(view, first, first, {**first, "duplicate": True})) == ["accepted"]


def test_an_error_names_the_turn_that_ended_or_the_message_that_was_refused() -> None:
    view = StreamView()
    view.asked("m")
    ended, refused = show(view, error_frame("t", "model_timeout"), refusal_frame("m", "session_busy"))
    assert (ended["turn"], ended["code"], ended["retryable"]) == ("t", "model_timeout", True)
    assert "id" not in ended
    assert (refused["id"], refused["code"], refused["retryable"]) == ("m", "session_busy", True)
    assert "turn" not in refused
    assert view.unaccepted() == []


def test_an_answer_whose_pieces_were_not_sent_has_one_piece_on_every_socket_that_is_there() -> None:
    view = StreamView()
    frames = show(view, message("abc", replaces="old"))
    assert short(frames) == ["start", "abc", "abc"]
    assert (frames[0]["regenerates"], frames[1]["index"]) == ("old", 0)
    assert short(show(StreamView(), message("abc"), is_live=False)) == ["abc"]


def test_the_pieces_that_were_not_sent_come_with_the_complete_answer() -> None:
    assert short(show(StreamView(), start(), token(0, "a"), message("abc"))) == ["start", "a", "bc", "abc"]


def test_an_empty_answer_without_pieces_is_only_the_message() -> None:
    assert short(show(StreamView(), message(""))) == [""]


def test_a_finished_answer_shows_what_is_special_about_it_and_nothing_internal() -> None:
    view = StreamView()
    (frame,) = show(view, message("x", stopped=True, replaces="old", run=3), is_live=False)
    assert frame == {
        "type": "message",
        "turn": "t",
        "id": "a-t",
        "msg": "x",
        "timestamp": "now",
        "stopped": True,
        "replaces": "old",
    }


def thought(at: int, text: str, turn: str = "t", run: int = 1) -> Frame:
    return {"type": "thought", "turn": turn, "run": run, "at": at, "text": text}


def thought_end(turn: str = "t", run: int = 1) -> Frame:
    return {"type": "thought_end", "turn": turn, "run": run, "seconds": 3.2}


def test_a_client_that_asks_gets_thoughts_with_an_index_of_their_own() -> None:
    view = StreamView(thoughts=True)
    frames = show(view, start(), thought(0, "Hm, "), thought(4, "so."), thought_end(), token(0, "Hi"))
    assert frames[1:] == [
        {"type": "thought", "turn": "t", "index": 0, "text": "Hm, "},
        {"type": "thought", "turn": "t", "index": 1, "text": "so."},
        {"type": "thought_end", "turn": "t", "seconds": 3.2},
        {"type": "token", "turn": "t", "index": 0, "text": "Hi"},
    ]


def test_a_client_that_does_not_ask_sees_no_thoughts() -> None:
    frames = [start(), thought(0, "Hm, "), thought_end(), token(0, "Hi"), message("Hi")]
    without = [frame for frame in frames if not frame["type"].startswith("thought")]
    assert show(StreamView(), *frames) == show(StreamView(), *without)


def test_a_thought_comes_once_and_a_gap_before_it_stays() -> None:
    view = StreamView(thoughts=True)
    frames = show(view, start(), thought(0, "Hm, "), thought(0, "Hm, so"), thought(20, "then"))
    assert [frame["text"] for frame in frames[1:]] == ["Hm, ", "so", "then"]


def test_a_new_run_begins_its_thoughts_again() -> None:
    view = StreamView(thoughts=True)
    show(view, start(), thought(0, "old"), token(0, "x"))
    frames = show(view, start(run=2), thought(3, "late"), thought(0, "new", run=2), thought_end(run=2))
    assert [(frame["type"], frame.get("index"), frame.get("text")) for frame in frames] == [
        ("start", None, None),
        ("thought", 0, "new"),
        ("thought_end", None, None),
    ]


def test_thoughts_after_the_end_of_a_turn_are_dropped() -> None:
    view = StreamView(thoughts=True)
    show(view, start(), message("Hi"))
    assert show(view, thought(0, "late"), thought_end()) == []


def test_a_thought_whose_start_was_lost_asks_for_a_look() -> None:
    view = StreamView(thoughts=True)
    assert show(view, thought(0, "Hm")) == []
    assert is_lost(view)


def test_thoughts_and_tokens_on_their_way_do_not_join_each_other() -> None:
    answer = RunningAnswer("t", 1)
    assert ThoughtToken(answer, "a").join(ThoughtToken(answer, "b"))
    assert not ThoughtToken(answer, "a").join(Token(answer, "b"))
    assert not Token(answer, "a").join(ThoughtToken(answer, "b"))


def test_the_facts_about_an_answer_are_told() -> None:
    facts: dict[str, Any] = {"shortened": True, "usage": {"input_tokens": 1, "output_tokens": 2}}
    (frame,) = show(StreamView(), message("Hi", **facts), is_live=False)
    assert {name: frame[name] for name in facts} == facts
