"""Requests that a strict server refuses are sent again in the shape it takes, which is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from pipeline.errors import MessageRefusal, ModelError
from pipeline.models import ModelRequest, Shortened, Usage, whole_answer
from pipeline.models.base import AnswerPart
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.text_generation import TextGeneration
from tests.pipeline.models.conftest import PATIENCE
from tests.support.model_rules import (
    Rule,
    context_of,
    max_completion_tokens,
    no_stream_options,
    no_system_role,
    roles_alternate,
    without_words,
)
from tests.support.model_server import ModelServer

ANSWER = "You said: How are you?"


@asynccontextmanager
async def client(
    server: ModelServer, *rules: Rule, system: str | None = None
) -> AsyncIterator[ChatCompletions]:
    """A client of a server with rules."""
    server.rules = list(rules)
    model = ChatCompletions(
        server.chat_url, model=None, token=None, patience=PATIENCE, max_tokens=25, system_prompt=system
    )
    yield model
    await model.close()


async def parts_of(model: ChatCompletions | TextGeneration, question: ModelRequest) -> list[AnswerPart]:
    """Return all parts of an answer."""
    async with aclosing(model.stream(question)) as parts:
        return [part async for part in parts]


def asked(*context: str) -> ModelRequest:
    return ModelRequest(" ".join((*context, "Bot:")), context)


@pytest.mark.parametrize(
    ("rule", "extra"),
    [(max_completion_tokens, 1), (no_stream_options, 1), (without_words("stream_options"), 1)],
)
async def test_a_hundred_turns_cost_one_more_call(
    server: ModelServer, question: ModelRequest, rule: Rule, extra: int
) -> None:
    async with client(server, rule) as model:
        for _ in range(100):
            assert await whole_answer(model, question) == ANSWER
    assert len(server.requests) == 100 + extra


async def test_the_limit_keeps_its_value_under_its_other_name(
    server: ModelServer, question: ModelRequest
) -> None:
    async with client(server, max_completion_tokens) as model:
        await whole_answer(model, question)
    assert server.requests[-1].body["max_completion_tokens"] == 25
    assert "max_tokens" not in server.requests[-1].body


async def test_several_refusals_are_learned_one_after_the_other(
    server: ModelServer, question: ModelRequest
) -> None:
    rules = (max_completion_tokens, no_stream_options, no_system_role, roles_alternate)
    async with client(server, *rules, system="Be brief.") as model:
        assert [await whole_answer(model, question) for _ in range(3)] == [ANSWER] * 3
    assert len(server.requests) == 3 + 3
    assert server.requests[-1].body["messages"][0]["content"] == "Be brief.\n\nHi"


async def test_the_system_prompt_is_folded_for_a_server_that_does_not_say_why(
    server: ModelServer, question: ModelRequest
) -> None:
    def rule(body: object) -> tuple[int, object] | None:
        refused = no_system_role(body)  # type: ignore[arg-type]
        return (400, "Bad Request") if refused else None

    async with client(server, rule, system="Be brief.") as model:
        assert await whole_answer(model, question) == ANSWER
        before = len(server.requests)
        assert await whole_answer(model, question) == ANSWER
    assert len(server.requests) == before + 1


async def test_a_guess_that_does_not_help_is_not_remembered(
    server: ModelServer, question: ModelRequest
) -> None:
    async with client(server, lambda _: (400, "Bad Request")) as model:
        with pytest.raises(ModelError):
            await whole_answer(model, question)
        server.rules.clear()
        await whole_answer(model, question)
    assert "stream_options" in server.requests[-1].body


async def test_any_window_of_a_history_is_taken_by_a_strict_template(server: ModelServer) -> None:
    history = ("Human: a", "Bot: b", "Human: failed", "Human: c", "Bot: ", "Human: d", "Bot: e", "Human: f")
    async with client(server, roles_alternate) as model:
        for end in (1, 3, 4, 6, 8):
            for start in range(end):
                await whole_answer(model, asked(*history[start:end]))
    assert all(seen.body["messages"][-1]["role"] == "user" for seen in server.requests)


LONG = asked("Human: " + "one " * 40, "Bot: " + "two " * 40, "Human: three", "Bot: four", "Human: five")


@pytest.mark.parametrize(("with_sizes", "sent"), [(True, ["three", "four", "five"]), (False, ["five"])])
async def test_a_context_that_is_full_is_sent_once_more_without_its_oldest_messages(
    server: ModelServer, with_sizes: bool, sent: list[str]
) -> None:
    async with client(server, context_of(50, with_sizes=with_sizes)) as model:
        parts = await parts_of(model, LONG)
    assert parts[0] == Shortened(5 - len(sent))
    assert parts[1] == "You said: five"
    assert [message["content"] for message in server.requests[-1].body["messages"]] == sent
    assert len(server.requests) == 2


async def test_a_message_that_is_too_long_alone_is_refused_with_our_words(server: ModelServer) -> None:
    async with client(server, context_of(50)) as model:
        with pytest.raises(ModelError) as caught:
            await whole_answer(model, asked("Human: hi", "Bot: hello", "Human: " + "x " * 60))
    error = caught.value
    assert (error.code, error.refusal, error.retryable) == ("model_rejected", MessageRefusal.TOO_LONG, False)
    assert error.detail == "The message is too long for this model"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "said",
    [
        "`inputs` tokens + `max_new_tokens` must be <= 20. Given: 65 `inputs` tokens and 25 `max_new_tokens`",
        "`inputs` must have less than 20 tokens. Given: 65",
    ],
)
async def test_a_prompt_that_is_too_long_is_shortened_for_text_generation_too(
    server: ModelServer, said: str
) -> None:
    model = TextGeneration(server.url, token=None, patience=PATIENCE, max_new_tokens=25)
    server.fail_next(
        status=422, body={"error": f"Input validation error: {said}", "error_type": "validation"}
    )
    parts = await parts_of(model, LONG)
    await model.close()
    assert parts[:1] == [Shortened(2)]
    assert server.requests[-1].body["inputs"] == "Human: three Bot: four Human: five Bot:"


async def test_an_answer_that_does_not_fit_is_asked_for_in_the_room_there_is(
    server: ModelServer, question: ModelRequest
) -> None:
    said = (
        "`inputs` tokens + `max_new_tokens` must be <= 40. Given: 30 `inputs` tokens and 25 `max_new_tokens`"
    )
    model = TextGeneration(server.url, token=None, patience=PATIENCE, max_new_tokens=25)
    server.fail_next(status=422, body={"error": said, "error_type": "validation"})
    assert await whole_answer(model, question) == ANSWER
    await model.close()
    assert server.requests[-1].body["parameters"]["max_new_tokens"] == 10


async def test_a_limit_that_is_too_high_is_left_to_the_server(
    server: ModelServer, question: ModelRequest
) -> None:
    def rule(body: object) -> tuple[int, object] | None:
        said = "max_tokens is too large: 25. This model supports at most 16 completion tokens"
        return (400, {"error": {"message": said}}) if "max_tokens" in body else None  # type: ignore[operator]

    async with client(server, rule) as model:
        assert [await whole_answer(model, question) for _ in range(3)] == [ANSWER] * 3
    assert len(server.requests) == 4


async def test_an_answer_that_fills_the_context_alone_costs_no_message(server: ModelServer) -> None:
    def rule(body: object) -> tuple[int, object] | None:
        said = "The number of input and maximum output tokens exceeded this model context window limit"
        return (400, {"error": {"message": said}}) if "max_tokens" in body else None  # type: ignore[operator]

    async with client(server, rule) as model:
        for _ in range(2):
            assert await parts_of(model, asked("Human: a", "Bot: b", "Human: c")) == [
                "You said: c",
                Usage(3, 3),
            ]
    assert len(server.requests) == 3


async def test_a_model_that_does_not_stream_answers_at_once(
    server: ModelServer, question: ModelRequest
) -> None:
    def rule(body: object) -> tuple[int, object] | None:
        said = "Unsupported value: 'stream' does not support true with this model."
        return (400, {"error": {"message": said, "param": "stream"}}) if body["stream"] else None  # type: ignore[index]

    async with client(server, rule) as model:
        assert [await whole_answer(model, question) for _ in range(3)] == [ANSWER] * 3
    assert len(server.requests) == 4
    assert "stream_options" not in server.requests[-1].body


async def test_a_filtered_message_is_refused_for_good(server: ModelServer, question: ModelRequest) -> None:
    error = {"message": "filtered by our content management policy", "code": "content_filter"}
    async with client(server, lambda _: (400, {"error": error})) as model:
        with pytest.raises(ModelError) as caught:
            await whole_answer(model, question)
    assert caught.value.refusal is MessageRefusal.FILTERED


async def test_turns_that_come_at_once_learn_from_the_first_of_them(server: ModelServer) -> None:
    async with client(server, max_completion_tokens, no_stream_options) as model:
        answers = await asyncio.gather(*(whole_answer(model, asked("Human: hi")) for _ in range(100)))
    assert answers == ["You said: hi"] * 100
    assert len(server.requests) == 100 + 2


async def test_a_first_turn_that_hangs_holds_up_the_others_for_a_moment_only(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.models.request_shape._FIRST_WAIT", 0.05)
    server.fail_next("hang")
    async with client(server) as model:
        hanging = asyncio.create_task(whole_answer(model, asked("Human: first")))
        await server.wait_for_in_flight(1)
        assert await whole_answer(model, asked("Human: second")) == "You said: second"
        hanging.cancel()
        await asyncio.wait([hanging])
        assert await whole_answer(model, asked("Human: third")) == "You said: third"


async def test_a_first_turn_that_is_given_up_makes_way(server: ModelServer) -> None:
    server.fail_next("hang")
    async with client(server) as model:
        hanging = asyncio.create_task(whole_answer(model, asked("Human: first")))
        await server.wait_for_in_flight(1)
        second = asyncio.create_task(whole_answer(model, asked("Human: second")))
        hanging.cancel()
        assert await second == "You said: second"
