"""A server's text in the operators' log."""

from __future__ import annotations

import time

import pytest

from pipeline.models.server_text import clean_server_text, evidence


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain words", "plain words"),
        ("two\n  lines\t\x00\x1b[31mred\x9b0m", "two lines [31mred 0m"),
        ("right\u202e to \u2066left\u200b\ufeff", "right to left"),
        ("Grüße 你好 👋🏽", "Grüße 你好 👋🏽"),
        ("Wrong key hf_abcdefghijklm!", "Wrong key …!"),
        ("Incorrect: sk-proj-abc***xyz.", "Incorrect: …."),
        ("Authorization: Bearer abcdefghijk", "Authorization: … …"),
        ('{"api_key": "abcdefgh", "n": 1}', '{"api_key": "…", "n": 1}'),
        ("https://me:secret@host/v1?api-key=abcdefgh&n=1", "https://…@host/v1?api-key=…&n=1"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIx.SflKxw", "…"),
        ("5000 input tokens, 2048 max_tokens", "5000 input tokens, 2048 max_tokens"),
    ],
)
def test_it_is_one_line_without_secrets_and_control_characters(text: str, clean: str) -> None:
    assert clean_server_text(text) == clean


def test_the_token_of_the_request_is_left_out_wherever_it_stands() -> None:
    assert clean_server_text("bad <my secret>", secret="my secret") == "bad <…>"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert clean_server_text("x" * 5000, limit=10) == "x" * 10 + "… (4990 more characters)"
    assert len(evidence(b"\xff\x00<html>" * 1000)) < 300


def test_a_hostile_text_costs_no_time() -> None:
    started = time.process_time()
    for text in ("a://" * 9000, "api_key" * 9000, "key= " * 9000, "-" * 50_000, "eyJaaaaaaaa." * 5000):
        clean_server_text(text)
    assert time.process_time() - started < 2
