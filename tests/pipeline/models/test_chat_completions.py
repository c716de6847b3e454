"""The chat completions client against a server that behaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pipeline.errors import ModelError
from pipeline.models import ModelRequest, whole_answer
from pipeline.models.addresses import completions_url, probable_url
from pipeline.models.answer_text import AnswerText
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.chat_reader import ChatReader
from tests.pipeline.models.conftest import PATIENCE, TOKEN
from tests.support.model_server import ModelServer


async def test_the_answer_is_the_assistants_message(
    chat_model: ChatCompletions, question: ModelRequest
) -> None:
    assert await whole_answer(chat_model, question) == "You said: How are you?"


async def test_the_history_is_sent_as_messages_with_roles(
    server: ModelServer, chat_model: ChatCompletions, question: ModelRequest
) -> None:
    await whole_answer(chat_model, question)
    seen = server.requests[-1]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
    assert seen.body == {
        "model": "parley/fake",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "How are you?"},
        ],
        "max_tokens": 25,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_without_a_model_none_is_named(server: ModelServer, question: ModelRequest) -> None:
    model = ChatCompletions(server.chat_url, model=None, token=None, patience=PATIENCE, max_tokens=25)
    try:
        await whole_answer(model, question)
    finally:
        await model.close()
    assert "model" not in server.requests[-1].body
    assert model.name == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "posted_to"),
    [
        ("https://router.huggingface.co/v1", "https://router.huggingface.co/v1/chat/completions"),
        ("http://localhost:8080/v1/", "http://localhost:8080/v1/chat/completions"),
        ("http://localhost:8080", "http://localhost:8080/v1/chat/completions"),
        ("http://localhost:8080/base", "http://localhost:8080/base/v1/chat/completions"),
        ("http://localhost/api/chat/completions", "http://localhost/api/chat/completions"),
        ("http://localhost/v1?version=2", "http://localhost/v1/chat/completions?version=2"),
    ],
)
def test_the_address_is_completed(given: str, posted_to: str) -> None:
    assert completions_url(given) == posted_to


@pytest.mark.parametrize(
    ("given", "probable"),
    [
        ("http://localhost:11434/api/chat", "http://localhost:11434/v1"),
        ("http://localhost:11434/api/generate/", "http://localhost:11434/v1"),
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/", "http://localhost:11434/v1"),
        ("http://u:p@localhost/v1/models", "http://localhost/v1"),
        ("http://localhost/base/v1/completions?key=x", "http://localhost/base/v1"),
    ],
)
def test_the_address_that_probably_works_is_found(given: str, probable: str) -> None:
    assert probable_url(URL(given)) == probable


@pytest.mark.parametrize(
    ("payload", "retryable", "words"),
    [
        ({"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}, True, "empty"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, True, "empty"),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}, False, "MAX_NEW_TOKENS"),
        (
            {"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}]},
            False,
            "tool",
        ),
        ({"choices": []}, False, "choices"),
        ({"message": {"content": "Hi"}, "done": False}, False, "Ollama"),
        ([{"generated_text": "Hello"}], False, "choices"),
        (None, False, "choices"),
    ],
)
def test_a_completion_without_text_is_an_error(payload: object, retryable: bool, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        read([payload])
    assert (caught.value.code, caught.value.retryable) == ("model_bad_response", retryable)


def read(payloads: list[object]) -> str:
    """Return the answer in the payloads of one response."""
    reader, text = ChatReader(), AnswerText()
    pieces = [text.push(reader.read(payload)) for payload in payloads]
    pieces.append(text.finish())
    reader.check(empty=text.empty)
    return "".join(pieces)


@pytest.mark.parametrize("kind", ["not_json", "html"])
async def test_a_page_is_an_error(
    server: ModelServer, chat_model: ChatCompletions, question: ModelRequest, kind: str
) -> None:
    server.fail_next("html" if kind == "html" else "not_json")
    with pytest.raises(ModelError) as caught:
        await whole_answer(chat_model, question)
    assert caught.value.code == "model_bad_response"


_DELTAS: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["", "a", " b", None, ["c"]]),
        "role": st.just("assistant"),
        "refusal": st.sampled_from([None, "no"]),
        "reasoning_content": st.sampled_from([None, "", "hm"]),
        "tool_calls": st.sampled_from([None, [{}]]),
    },
)
_CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "delta": st.one_of(st.none(), _DELTAS),
        "message": st.just({"content": "whole"}),
        "text": st.just("t"),
        "finish_reason": st.sampled_from([None, "", "stop", "length", {"type": "stop"}]),
        "usage": st.just({"prompt_tokens": 1, "completion_tokens": 2}),
    },
)
_CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(_CHOICES, min_size=1, max_size=2)},
    optional={
        "model": st.just("m"),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 3, "completion_tokens": 4}]),
        "x_groq": st.just({"usage": {"prompt_tokens": 5, "completion_tokens": 6}}),
    },
)


@given(chunks=st.lists(_CHUNKS, max_size=4))
def test_plain_pieces_are_read_as_all_other_chunks(chunks: list[dict[str, object]]) -> None:
    short, long = ChatReader(), ChatReader()
    for chunk in chunks:
        # Timings without figures mean nothing, but take the long way.
        assert short.read(chunk) == long.read({**chunk, "timings": {}})
        assert vars(short) == vars(long)
