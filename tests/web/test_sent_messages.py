"""The messages that a web process remembers, each with the one before it in its session."""

from __future__ import annotations

import pytest

from pipeline.chat.records import SESSION_EXPIRED, Frame, answer_id, error_frame, refusal_frame
from web.chat.protocol import ClientMessage
from web.chat.sent_messages import SentMessages


def answered(turn: str, at: str) -> Frame:
    return {"type": "message", "turn": turn, "id": answer_id(turn), "msg": "Hello", "timestamp": at}


def test_the_last_message_of_a_session_may_be_one_of_another_process() -> None:
    remembered = SentMessages()
    remembered.attached("t", "answer", ())
    assert remembered.add("t", ClientMessage("one", "x")).follows == "answer"
    remembered.decided("t", {"type": "accepted", "id": "other", "position": 0})
    # It was accepted before this one, which is on its way.
    assert remembered.add("t", ClientMessage("two", "x")).follows == "one"
    for name in ("one", "two", "another"):
        remembered.decided("t", {"type": "accepted", "id": name, "position": 0})
    assert remembered.add("t", ClientMessage("three", "x")).follows == "another"
    remembered.decided("t", refusal_frame("three", SESSION_EXPIRED))
    assert remembered.add("t", ClientMessage("four", "x")).follows == "another"
    remembered.left("t")
    assert remembered.add("t", ClientMessage("five", "x"), "seen").follows == "seen"


@pytest.mark.parametrize("ends_first", [0, 1])
def test_a_session_that_is_read_twice_at_a_time_misses_no_message_of_another_process(ends_first: int) -> None:
    remembered = SentMessages()
    readings = [remembered.joining("t"), remembered.joining("t")]
    accepted = [reading.__enter__() for reading in readings]
    readings.pop(ends_first).__exit__(None, None, None)
    remembered.decided("t", {"type": "accepted", "id": "other", "position": 0})
    remembered.attached("t", "answer", (), accepted[1 - ends_first])
    readings.pop().__exit__(None, None, None)
    assert remembered.add("t", ClientMessage("one", "x")).follows == "other"


@pytest.mark.parametrize(
    ("last_of_history", "before"),
    [
        pytest.param(answer_id("one"), "one", id="it is the answer to the last message from here"),
        pytest.param("zero", "one", id="Redis has lost the last message from here"),
        pytest.param("later", "later", id="another process has sent a later one"),
    ],
)
def test_a_session_whose_socket_comes_back_goes_on_after_its_last_message(
    last_of_history: str, before: str
) -> None:
    remembered = SentMessages()
    remembered.attached("t", "zero", ())
    remembered.add("t", ClientMessage("one", "x"))
    remembered.end("t", "one")
    remembered.left("t")
    remembered.attached("t", last_of_history, ())
    assert remembered.add("t", ClientMessage("two", "x"), "zero").follows == before


def test_a_message_of_another_process_comes_before_the_next_one_of_a_socket_that_came_back() -> None:
    remembered = SentMessages()
    remembered.add("t", ClientMessage("one", "x"))
    remembered.end("t", "one")
    remembered.left("t")
    remembered.attached("t", answer_id("one"), ())
    remembered.decided("t", {"type": "accepted", "id": "other", "position": 0})
    assert remembered.add("t", ClientMessage("two", "x"), answer_id("one")).follows == "other"


def test_a_message_stays_behind_the_one_before_however_often_the_session_refuses_both() -> None:
    remembered = SentMessages()
    follows = [remembered.add("t", ClientMessage(name, "x"), "lost").follows for name in ("one", "two")]
    assert follows == ["lost", "one"]
    for _ in range(3):
        for name in ("one", "two"):
            remembered.missed("t", name, 3)
    follows = [remembered.add("t", ClientMessage(name, "x")).follows for name in ("one", "two")]
    assert follows == [None, "one"]


def test_an_answer_that_comes_again_is_shown_as_it_was_seen() -> None:
    remembered = SentMessages()
    remembered.add("t", ClientMessage("one", "x"))
    seen = answered("one", "2026-01-01T00:00:00Z")
    again = answered("one", "2026-01-01T00:00:01Z")
    assert remembered.as_seen("t", seen) == seen
    remembered.decided("t", seen)
    assert remembered.as_seen("t", again) == seen
    other: Frame = answered("two", "2026-01-01T00:00:02Z")
    assert remembered.as_seen("t", other) == other
    error = error_frame("one", SESSION_EXPIRED)
    assert remembered.as_seen("t", error) == error
