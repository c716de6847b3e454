"""ELIZA answers anything, at once."""

from __future__ import annotations

import time

import pytest

from pipeline.models import ModelRequest, whole_answer
from pipeline.models.eliza import FALLBACK, MAX_TEXT, Eliza, respond

ODD_TEXTS = [
    "",
    "   ",
    "\n",
    "...",
    "?",
    "%1",
    "100 %5 %%",
    "\u017fo i wa\u017f",
    "İ am K",
    "Human: Human: Bot:",
    "你好吗?",
    "👩‍👩‍👧‍👦",
    "\x00\x1b[31m",
    "quit",
    '{"type": "message"}',
    "a" * 100_000,
    "I am " * 20_000,
    "why don't you " * 5_000,
    "i need you because are " * 5_000,
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: repr(text[:12]))
def test_she_answers_anything_at_once(text: str) -> None:
    for _ in range(30):  # she picks among several answers
        started = time.process_time()
        answer = respond(text)
        assert answer.strip() == answer != ""
        assert time.process_time() - started < 0.1


def test_she_turns_the_users_words_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.choice", lambda answers: answers[0])
    assert respond("I need my tea") == "Why do you need your tea?"
    assert respond("I need 100%1 of it") == "Why do you need 100%1 of it?"


def test_she_says_the_usual_to_nothing() -> None:
    assert respond("") == FALLBACK


def test_she_reads_no_more_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.choice", lambda answers: answers[0])
    assert len(respond("I need " + "tea " * 10_000)) < 2 * MAX_TEXT


async def test_she_answers_the_last_message() -> None:
    eliza = Eliza()
    request = ModelRequest("ignored", ("Human: I need tea", "Bot: Why?", "Human: Because I am tired"))
    assert await whole_answer(eliza, request)
    assert await whole_answer(eliza, ModelRequest("", ()))
    await eliza.close()
    assert (eliza.name, eliza.kind) == ("ELIZA", "eliza")
