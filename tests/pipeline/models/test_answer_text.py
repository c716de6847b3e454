"""From generated pieces to the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models import answer_text
from pipeline.models.answer_text import AnswerText

STOP = "Human:"


def cleaned(text: AnswerText, pieces: list[str]) -> list[str]:
    """Return the clean pieces."""
    return [clean for clean in [*(text.push(piece) for piece in pieces), text.finish()] if clean]


@pytest.mark.parametrize(
    ("pieces", "clean"),
    [
        ([" Fine", ", thanks", ".", " Hum", "an", ": And", " you?"], ["Fine", ", thanks", "."]),
        (["A", " Hum", "ble", " Human"], ["A", " Humble", " Human"]),
        (["  ", "\n", "Fine", " \n ", "day", "\n"], ["Fine", " \n day"]),
        (["Human:"], []),
        (["H", "uman: x"], []),
        (["", " "], []),
        (["\ud83d", "\ude00!"], ["😀!"]),
        (["a\ud83d"], ["a", "�"]),
    ],
)
def test_what_might_still_be_cut_is_held_back(pieces: list[str], clean: list[str]) -> None:
    assert cleaned(AnswerText(stop=STOP), pieces) == clean


@given(st.lists(st.text(st.sampled_from("Human: x\n"), max_size=9)))
def test_the_pieces_add_up_to_the_text_before_the_stop(pieces: list[str]) -> None:
    whole = "".join(pieces).partition(STOP)[0].strip()
    assert "".join(cleaned(AnswerText(stop=STOP), pieces)) == whole
    assert "".join(cleaned(AnswerText(), pieces)) == "".join(pieces).strip()


def test_nothing_comes_after_the_stop() -> None:
    text = AnswerText(stop=STOP)
    assert (text.push("a Human: b"), text.stopped) == ("a", True)
    assert (text.push("c"), text.finish()) == ("", "")


@pytest.mark.parametrize("piece", ["word ", " "])
def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    monkeypatch.setattr(answer_text, "MAX_ANSWER_CHARS", 1000)
    monkeypatch.setattr(answer_text, "MAX_BLANK_CHARS", 1000)
    text = AnswerText()
    text.push("x")
    with pytest.raises(ModelError, match="no end"):
        cleaned(text, [piece] * 2000)
