"""The text generation client against a server that behaves."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import ModelRequest, whole_answer
from pipeline.models.generation_reader import GenerationReader
from pipeline.models.text_generation import TextGeneration
from tests.pipeline.models.conftest import PATIENCE, TOKEN
from tests.support.model_server import ModelServer


async def test_the_answer_is_the_generated_text(text_model: TextGeneration, question: ModelRequest) -> None:
    assert await whole_answer(text_model, question) == "You said: How are you?"


async def test_the_answer_may_come_as_an_object(server: ModelServer, question: ModelRequest) -> None:
    model = TextGeneration(f"{server.url}/generate", token=None, patience=PATIENCE, max_new_tokens=25)
    try:
        assert await whole_answer(model, question) == "You said: How are you?"
    finally:
        await model.close()


async def test_the_request_has_the_shape_of_the_contract(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    await whole_answer(text_model, question)
    assert server.requests[-1].body == {
        "inputs": question.prompt,
        "parameters": {"max_new_tokens": 25, "return_full_text": False},
        "options": {"use_cache": False},
        "stream": True,
    }


async def test_the_token_is_sent_as_a_bearer_token(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    await whole_answer(text_model, question)
    assert server.requests[-1].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_without_a_token_no_credentials_are_sent(server: ModelServer, question: ModelRequest) -> None:
    model = TextGeneration(server.url, token=None, patience=PATIENCE, max_new_tokens=25)
    try:
        await whole_answer(model, question)
    finally:
        await model.close()
    assert "Authorization" not in server.requests[-1].headers


async def test_the_token_goes_before_credentials_in_the_address(
    server: ModelServer, question: ModelRequest
) -> None:
    url = server.url.replace("://", "://someone:password@")
    model = TextGeneration(url, token=TOKEN, patience=PATIENCE, max_new_tokens=25)
    try:
        await whole_answer(model, question)
    finally:
        await model.close()
    assert server.requests[-1].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "password" not in model.name


@pytest.mark.parametrize(
    ("generated", "answer"),
    [
        (" Fine, thanks. Human: And you? Bot: Well.", "Fine, thanks."),
        ("Fine.\nHuman:", "Fine."),
        ("  Fine.\n\n", "Fine."),
        ("A human: being. Humans", "A human: being. Humans"),
        ("Grüße 👋🏽 你好", "Grüße 👋🏽 你好"),
    ],
)
async def test_the_answer_ends_where_the_model_speaks_for_the_user(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest, generated: str, answer: str
) -> None:
    server.answer = lambda _: generated
    assert await whole_answer(text_model, question) == answer


async def test_a_prompt_that_comes_back_is_not_part_of_the_answer(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    server.answer = lambda asked: f"{asked.prompt} Fine."
    assert await whole_answer(text_model, question) == "Fine."


@given(
    st.lists(st.integers(0, 30)), st.sampled_from(["Human: Hi Bot: yes", "Human: Hi Bot:", "Human", "yes"])
)
def test_a_prompt_that_comes_back_is_left_out_wherever_it_is_split(cuts: list[int], generated: str) -> None:
    places = [0, *sorted(min(cut, len(generated)) for cut in cuts), len(generated)]
    reader = GenerationReader("Human: Hi Bot:")
    *texts, last = [generated[a:b] for a, b in pairwise(places)]
    pieces = [reader.read({"token": {"text": text}, "generated_text": None}) for text in texts]
    pieces.append(reader.read({"token": {"text": last}, "generated_text": generated}))
    assert "".join(pieces).strip() == generated.removeprefix("Human: Hi Bot:").strip()


async def test_connections_are_reused(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    for _ in range(20):
        await whole_answer(text_model, question)
    assert server.connections == 1


async def test_many_requests_run_at_once(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    server.fail_next("hang", times=120)
    tasks = [asyncio.create_task(whole_answer(text_model, question)) for _ in range(120)]
    await server.wait_for_in_flight(120)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_closing_twice_is_harmless_and_a_later_request_connects_again(
    text_model: TextGeneration, question: ModelRequest
) -> None:
    await text_model.close()
    await whole_answer(text_model, question)
    await text_model.close()
    await text_model.close()
    assert await whole_answer(text_model, question) == "You said: How are you?"


async def test_a_cancelled_request_is_closed_at_the_server(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    server.fail_next("hang")
    task = asyncio.create_task(whole_answer(text_model, question))
    await server.wait_for_in_flight(1)
    task.cancel()
    await server.wait_for_in_flight(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_name_is_the_models_or_else_the_address(server: ModelServer) -> None:
    named = TextGeneration(server.url, name="gpt2", token=None, patience=PATIENCE, max_new_tokens=25)
    unnamed = TextGeneration(
        "https://models.example/gpt2/?key=secret", token=None, patience=PATIENCE, max_new_tokens=1
    )
    assert (named.name, unnamed.name) == ("gpt2", "models.example/gpt2")
