"""The part of a session that a chat template receives."""

from __future__ import annotations

import pytest

from pipeline.models.conversation import chat_messages, without_oldest


def roles(*messages: str, system: str | None = None, fold: bool = False) -> list[tuple[str, str]]:
    return [
        (message["role"], message["content"]) for message in chat_messages(messages, system, fold_system=fold)
    ]


@pytest.mark.parametrize(
    ("context", "sent"),
    [
        (["Human: a", "Bot: b", "Human: c"], [("user", "a"), ("assistant", "b"), ("user", "c")]),
        (["Bot: b", "Human: c", "Bot: d", "Human: e"], [("user", "c"), ("assistant", "d"), ("user", "e")]),
        (["Bot: a", "Bot: b", "Human: c"], [("user", "c")]),
        (["Human: a", "Human: c"], [("user", "a\n\nc")]),
        (
            ["Human: a", "Bot: b", "Bot: c", "Human: d"],
            [("user", "a"), ("assistant", "b\n\nc"), ("user", "d")],
        ),
        (["Human: a", "Bot: ", "Human: c"], [("user", "a\n\nc")]),
        (["Human: ", "Bot: b", "Human: c"], [("user", "c")]),
        (["Human: Bot: x"], [("user", "Bot: x")]),
        ([], []),
    ],
)
def test_roles_alternate_and_begin_with_the_users(context: list[str], sent: list[tuple[str, str]]) -> None:
    assert roles(*context) == sent


def test_the_system_prompt_comes_first_or_at_the_head_of_the_first_message() -> None:
    assert roles("Human: a", system="Be brief.") == [("system", "Be brief."), ("user", "a")]
    assert roles("Human: a", "Bot: b", "Human: c", system="Be brief.", fold=True) == [
        ("user", "Be brief.\n\na"),
        ("assistant", "b"),
        ("user", "c"),
    ]


LONG = ("Human: " + "a" * 400, "Bot: " + "b" * 400, "Human: " + "c" * 100, "Bot: " + "d" * 100, "Human: e")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("the input length exceeds the context length", 1),
        ("Requested tokens (1000) exceed context window of 500", 3),
        ("This model's maximum context length is 4,000 tokens, but you requested 4,100 tokens", 3),
        ("Requested tokens (1000) exceed context window of 10", 1),
        ('too long; body: {"n_prompt_tokens":1000,"n_ctx":900}', 3),
    ],
)
def test_a_context_that_is_too_long_loses_its_oldest_messages(said: str, kept: int) -> None:
    assert without_oldest(LONG, said) == LONG[-kept:]


@pytest.mark.parametrize("context", [("Human: a",), ("Bot: b", "Human: a"), ()])
def test_a_single_message_can_not_be_shortened(context: tuple[str, ...]) -> None:
    assert without_oldest(context, "too long") is None
