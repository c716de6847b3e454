"""Messages between the stages, and the prompt built from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import faust
import pytest

from pipeline.chat.prompts import build_prompt
from pipeline.chat.records import (
    SESSION_EXPIRED,
    Inbound,
    Prompt,
    Turn,
    TurnOutcome,
    answer_id,
    clean_text,
    error_frame,
    error_text,
    json_text,
)


@pytest.mark.parametrize(
    "message",
    [
        Inbound(token="t", id="i", text='Grüße "🎈"\n\u0000', sent_at=1.5),
        Turn(token="t", turn="i"),
        Prompt(token="t", turn="i", prompt="Human: a Bot:", context=["Human: a"]),
        TurnOutcome(token="t", turn="i", answer="b"),
        TurnOutcome(token="t", turn="i", error="model_timeout", detail="too slow"),
    ],
)
def test_a_message_survives_the_wire(message: Inbound | Turn | Prompt | TurnOutcome) -> None:
    wire = message.dumps()
    assert b"__faust" not in wire
    assert type(message).loads(wire, serializer="json") == message


def test_a_turn_has_one_answer_id_that_no_other_turn_has() -> None:
    assert answer_id("a") == answer_id("a") != answer_id("b")


def test_an_error_frame_says_what_happened_and_when() -> None:
    frame = error_frame("a", SESSION_EXPIRED)
    assert frame["id"] == answer_id("a")
    assert frame["error"] == SESSION_EXPIRED
    assert frame["msg"] == error_text(SESSION_EXPIRED)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(frame["timestamp"])) < timedelta(seconds=30)


def test_an_error_of_the_model_has_words_too() -> None:
    assert error_text("model_loading")


def test_text_keeps_everything_but_lone_surrogates() -> None:
    assert clean_text("a 🎈 \u0000 ü") == "a 🎈 \u0000 ü"
    assert clean_text("a \ud83d b") == "a � b"
    assert json_text('"\n') == '"\\"\\n"'


def test_the_prompt_ends_where_the_bot_begins() -> None:
    assert build_prompt(["Human: a", "Bot: b", "Human: c"]) == "Human: a Bot: b Human: c Bot:"


def test_a_worker_of_the_previous_version_reads_an_outcome() -> None:
    class PreviousOutcome(faust.Record, serializer="json", include_metadata=False):
        token: str
        turn: str
        answer: str | None = None
        stopped: bool = False

    sent = TurnOutcome(
        token="t", turn="i", answer="b", shortened=True, usage={"input_tokens": 3, "output_tokens": 4}
    )
    read = PreviousOutcome.loads(sent.dumps())
    assert (read.token, read.turn, read.answer, read.stopped) == ("t", "i", "b", False)
    assert TurnOutcome.loads(read.dumps()) == TurnOutcome(token="t", turn="i", answer="b")
