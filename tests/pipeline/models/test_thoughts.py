"""Thoughts and answers that come as one text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.answer import Answer
from pipeline.models.base import AnswerPart, Retraction, Thought
from pipeline.models.reasoners import ThoughtMemory, may_begin_in_thought
from pipeline.models.thoughts import ThoughtFilter

CASES = [
    ("<think>hm</think>Hello", "Hello", "hm"),
    ("  <think>\n\n</think>\n\nHello", "Hello", ""),
    ("<THINK>hm</Think>Hello", "Hello", "hm"),
    ("<think>a</think>\n<think>b</think>c </think> d", "c </think> d", "ab"),
    ("[THINK]a [x][/THINK]b", "b", "a [x]"),
    ("<seed:think>a</seed:think>b", "b", "a"),
    ("◁think▷a◁/think▷b", "b", "a"),
    ("<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>b<|end_of_solution|>", "b", "a"),
    ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "b", "a"),
    (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
        "b",
        "a",
    ),
    ("<|start|>assistant<|channel|>final<|message|>b<|return|>", "b", ""),
    ("<|channel|>commentary to=x <|constrain|>json<|message|>{}<|call|>", "", "{}"),
    ("<mm:think>a</mm:think>b", "b", "a"),
    ("<unused94>thought\na<unused95>b", "b", "a"),
    ("<think>a</think><answer>b</answer>", "b", "a"),
    ('<details type="reasoning" open>a</details>b', "b", "open>a"),
    ("analysisWe a.assistantfinalb", "b", "We a."),
    ("analysis of b", "analysis of b", ""),
    # Only the closing tag.
    ("hm hm</think>\n\nHello", "Hello", "hm hm"),
    ("about `</think>`</think>Hello", "Hello", "about `</think>`"),
    # An answer that is about tags.
    ("Use `</think>` to close", "Use `</think>` to close", ""),
    ("```\n</think>\n```\nx", "```\n</think>\n```\nx", ""),
    ("A <think> tag and </think>", "A <think> tag and </think>", ""),
    ("Hi <think>hm</think> there", "Hi <think>hm</think> there", ""),
    ("`<think>` opens, `</think>` closes", "`<think>` opens, `</think>` closes", ""),
    # Never closed, or no tag at all.
    ("<think>never closed", "", "never closed"),
    ("<thin air> a < b", "<thin air> a < b", ""),
    ("<thi", "<thi", ""),
    ("a [link](x) <b>", "a [link](x) <b>", ""),
    ("İ </thin", "İ </thin", ""),
    ("", "", ""),
]


def split(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def shown(pieces: list[str], *, unannounced: bool | None = False) -> tuple[str, str]:
    """Return the answer and the thoughts in some pieces."""
    answer, text, thoughts = Answer(unannounced_thoughts=unannounced), "", ""

    def take(parts: list[AnswerPart]) -> None:
        nonlocal text, thoughts
        for part in parts:
            match part:
                case str():
                    text += part
                case Thought(thought):
                    thoughts += thought
                case Retraction(thought):
                    text, thoughts = "", thoughts + thought

    for piece in pieces:
        answer.add_text(piece)
        take(answer.take())
    answer.finish()
    take(answer.take())
    return text, thoughts.strip()


@pytest.mark.parametrize(("text", "answer", "thoughts"), CASES)
def test_thoughts_are_told_from_the_answer(text: str, answer: str, thoughts: str) -> None:
    assert shown([text]) == (answer, thoughts)
    assert shown(list(text)) == (answer, thoughts)


@given(st.sampled_from(CASES), st.lists(st.integers(0, 90), max_size=9))
def test_it_does_not_matter_where_the_text_is_split(case: tuple[str, str, str], cuts: list[int]) -> None:
    text, answer, thoughts = case
    assert shown(split(text, cuts)) == (answer, thoughts)


@given(st.lists(st.text(st.sampled_from("<think>/[] a`\n"), max_size=12)))
def test_no_text_is_lost_or_made_up(pieces: list[str]) -> None:
    assert shown(pieces) == shown(["".join(pieces)])


def test_an_answer_without_thoughts_is_passed_on_at_once() -> None:
    thoughts = ThoughtFilter()
    assert [thoughts.push(piece) for piece in ("Hel", "lo ", "<", "b>")] == ["Hel", "lo ", "", "<b>"]


def test_a_thought_that_begins_without_a_tag_is_streamed_once_that_is_known() -> None:
    thoughts = ThoughtFilter(unannounced=True)
    assert [thoughts.push(piece) for piece in ("Hm, ", "so.", "</think>", "Hello")] == ["", "", "", "Hello"]
    assert (thoughts.thoughts, thoughts.found_unannounced) == (["Hm, ", "so."], True)


def test_a_model_that_does_not_think_this_time_has_its_text_as_the_answer() -> None:
    answer = Answer(unannounced_thoughts=True)
    answer.add_text("Hello")
    answer.finish()
    assert answer.take()[-1] == "Hello"
    assert answer.found_unannounced_thoughts is False


def test_a_thought_that_was_cut_short_is_no_answer() -> None:
    answer = Answer(unannounced_thoughts=True)
    answer.add_text("Hm, ")
    answer.finish(cut_short=True)
    assert answer.empty


def test_a_closing_tag_after_thoughts_in_a_field_of_their_own_is_text() -> None:
    answer = Answer()
    answer.add_thought("Hm.")
    answer.add_text("It ends with </think> then")
    answer.finish()
    assert answer.take() == [Thought("Hm."), "It ends with </think> then"]


def test_text_before_thoughts_in_a_field_of_their_own_does_not_hold_back_the_answer() -> None:
    answer = Answer(unannounced_thoughts=True)
    answer.add_thought("Hm.")
    answer.add_text("Hello")
    assert answer.take() == [Thought("Hm."), "Hello"]


def test_an_opening_tag_counts_although_none_was_expected() -> None:
    assert shown(["<think>", "hm", "</think>", "Hello"], unannounced=True) == ("Hello", "hm")


@pytest.mark.parametrize(
    "thought",
    [
        "Okay, the user is asking for a greeting. I will greet them.",
        "Okay, so the user wants a poem.",
        "Alright, I need to figure out the date.",
        "The user greets me, so I greet back.",
        "We need to respond with a greeting.",
        "Hmm, let me think about it.",
        "嗯，用户现在问我问题。",  # noqa: RUF001
        "用户说你好",
    ],
)
def test_a_first_answer_that_begins_like_a_thought_is_taken_back_after_a_few_words(thought: str) -> None:
    answer = Answer(unannounced_thoughts=None)
    parts: list[AnswerPart] = []
    for letter in f"{thought}</think>\n\nHello":
        answer.add_text(letter)
        parts += answer.take()
    answer.finish()
    parts += answer.take()
    taken_back = next(at for at, part in enumerate(parts) if isinstance(part, Retraction))
    assert taken_back < 25
    text = [part for part in parts[taken_back:] if isinstance(part, str)]
    thoughts = [part.thought for part in parts if isinstance(part, Retraction)]
    thoughts += [part.text for part in parts if isinstance(part, Thought)]
    assert ("".join(text), "".join(thoughts)) == ("Hello", thought)
    assert answer.found_unannounced_thoughts


@pytest.mark.parametrize(
    "text",
    ["Okay, here it is.", "The user's guide is long.", "So, we begin.", "用户指南", "I need to go.", "We"],
)
def test_a_first_answer_with_similar_words_is_passed_on_once_they_differ(text: str) -> None:
    answer = Answer(unannounced_thoughts=None)
    for letter in text:
        answer.add_text(letter)
    answer.finish()
    assert "".join(part for part in answer.take() if isinstance(part, str)) == text


def test_a_first_answer_that_only_begins_like_a_thought_is_the_answer() -> None:
    assert shown(["The user is ", "asked to wait."], unannounced=None) == (
        "The user is asked to wait.",
        "The user is asked to wait.",
    )


@pytest.mark.parametrize(
    "name",
    [
        "deepseek-ai/DeepSeek-R1-0528",
        "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf",
        "Qwen/QwQ-32B",
        "Qwen3-235B-A22B-Thinking-2507",
        "MiniMaxAI/MiniMax-M2",
        "LGAI-EXAONE/EXAONE-Deep-32B",
        "Skywork-OR1-7B",
        "phi-4-reasoning-plus",
    ],
)
def test_the_name_of_a_model_shows_whether_it_may_begin_in_a_thought(name: str) -> None:
    assert may_begin_in_thought(name)


@pytest.mark.parametrize(
    "name",
    ["openai/gpt-oss-120b", "r10-chat", "Llama-3.1-8B-Instruct", "qwen3-non-thinking", "gemma-3-27b-it"],
)
def test_names_of_other_models_show_nothing(name: str) -> None:
    assert not may_begin_in_thought(name)


def test_a_finding_counts_more_than_a_name() -> None:
    memory = ThoughtMemory("deepseek-r1")
    assert memory.expectation
    memory.learn(None)
    assert memory.expectation
    memory.learn(False)
    assert not memory.note_name("deepseek-r1")
    memory.learn(True)
    assert memory.note_name("plain")


def test_the_words_of_a_text_count_until_the_model_has_answered() -> None:
    memory = ThoughtMemory("plain")
    assert memory.expectation is None
    memory.learn(None)
    assert memory.expectation is False
