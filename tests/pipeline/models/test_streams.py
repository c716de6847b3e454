"""Both clients against a server that streams, well and badly."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from pipeline.errors import ModelError
from pipeline.models import ChatModel, ModelRequest, Usage, whole_answer
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from pipeline.models.text_generation import TextGeneration
from tests.pipeline.models.conftest import IMPATIENT, chat, generation
from tests.support.model_server import FailureKind, ModelServer
from tests.support.wire_server import serving

ANSWER = "You said: How are you?"


async def told(model: ChatModel, question: ModelRequest) -> tuple[list[str], ModelError]:
    """Return what came, and the error that ended it."""
    pieces: list[str] = []
    with pytest.raises(ModelError) as caught:  # noqa: PT012
        async with aclosing(model.stream(question)) as stream:
            async for part in stream:
                if isinstance(part, str):
                    pieces.append(part)
    return pieces, caught.value


async def test_the_answer_comes_word_by_word(
    server: ModelServer, model: ChatModel, question: ModelRequest
) -> None:
    server.token_delay = 0.1  # tokens that come together are passed on together
    async with aclosing(model.stream(question)) as stream:
        parts = [part async for part in stream]
    assert [part for part in parts if isinstance(part, str)] == ["You", " said:", " How", " are", " you?"]
    assert [part for part in parts if isinstance(part, Usage)] == [
        Usage(5 if model.kind == "chat-completions" else 9, 5)
    ]


@pytest.mark.parametrize("kind", ["trickle", "plain"])
async def test_odd_streams_give_the_whole_answer(
    server: ModelServer, model: ChatModel, question: ModelRequest, kind: FailureKind
) -> None:
    server.answer = lambda _: "Grüße 👋🏽 你好"
    server.fail_next(kind)
    assert await whole_answer(model, question) == "Grüße 👋🏽 你好"


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("die_mid_stream", "model_unreachable", "broke"),
        ("cut_event", "model_unreachable", "broke"),
        ("close_early", "model_unreachable", "before the answer was complete"),
        ("stall", "model_timeout", "fell silent for 0.2 s"),
        ("error_event", "model_rate_limited", "too many"),
        ("not_json_event", "model_bad_response", "not JSON"),
    ],
)
async def test_a_stream_that_breaks_gives_its_beginning_and_an_error(
    server: ModelServer, model: ChatModel, question: ModelRequest, kind: FailureKind, code: str, words: str
) -> None:
    server.fail_next(kind, after=3, body={"error": "busy", "error_type": "overloaded"})
    if model.kind == "chat-completions":
        server.heal()
        server.fail_next(kind, after=3, body={"error": {"message": "busy", "code": 429}})
    pieces, error = await told(model, question)
    beginning = "".join(pieces)
    assert ANSWER.startswith(beginning)
    assert beginning.startswith("You said:")
    assert (error.code, words in error.detail) == (code, True)
    assert await whole_answer(model, question) == ANSWER


async def test_pings_keep_an_answer_that_has_begun_alive(
    server: ModelServer, model: ChatModel, question: ModelRequest
) -> None:
    server.fail_next("pings", after=3)
    with pytest.raises(TimeoutError):
        # Three times the time for which it may be silent.
        async with asyncio.timeout(0.6):
            await whole_answer(model, question)


async def test_pings_alone_end_after_the_time_for_the_first_token(
    server: ModelServer, model: ChatModel, question: ModelRequest
) -> None:
    server.fail_next("pings", after=0)
    pieces, error = await told(model, question)
    assert (pieces, error.code, error.detail) == (
        [],
        "model_timeout",
        "The model gave no answer within 0.5 s",
    )


async def test_thoughts_are_not_shown_but_keep_the_call_alive(
    server: ModelServer, question: ModelRequest
) -> None:
    server.thoughts, server.token_delay = 12, 0.06
    model = chat(server, IMPATIENT)
    assert await whole_answer(model, question) == ANSWER
    await model.close()


async def test_a_chat_that_told_why_it_ended_is_complete_without_the_end_mark(
    server: ModelServer, question: ModelRequest
) -> None:
    server.fail_next("no_done")
    model = chat(server, IMPATIENT)
    assert await whole_answer(model, question) == ANSWER
    await model.close()


async def test_giving_up_in_mid_answer_closes_the_call_within_a_second(
    server: ModelServer, model: ChatModel, question: ModelRequest
) -> None:
    server.fail_next("endless")
    server.token_delay = 0.01
    async with aclosing(model.stream(question)) as stream:
        await anext(stream)
        await server.wait_for_in_flight(1)
    async with asyncio.timeout(1):
        await server.wait_for_in_flight(0)


async def test_cancelling_in_mid_answer_closes_the_call_within_a_second(
    server: ModelServer, model: ChatModel, question: ModelRequest
) -> None:
    server.fail_next("stall")
    task = asyncio.create_task(whole_answer(model, question))
    await server.wait_for_in_flight(1)
    task.cancel()
    async with asyncio.timeout(1):
        await server.wait_for_in_flight(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_that_speaks_for_the_user_is_stopped_at_the_server(
    server: ModelServer, question: ModelRequest
) -> None:
    server.answer = lambda _: "Fine. Human: And you?"
    server.token_delay = 0.01
    server.fail_next("endless")
    model = generation(server, IMPATIENT)
    assert await whole_answer(model, question) == "Fine."
    async with asyncio.timeout(1):
        await server.wait_for_in_flight(0)
    await model.close()


async def test_the_connection_is_used_again_after_a_stream(
    server: ModelServer, model: ChatModel, question: ModelRequest
) -> None:
    for _ in range(5):
        assert await whole_answer(model, question) == ANSWER
    assert server.connections == 1


@pytest.mark.parametrize(
    ("finish", "code", "shown"),
    [("content_filter", "model_rejected", True), ("error", "model_error", True), ("length", "", True)],
)
async def test_why_a_chat_ended_decides_what_it_is_worth(
    server: ModelServer, question: ModelRequest, finish: str, code: str, shown: bool
) -> None:
    server.fail_next("finish", body=finish)
    model = chat(server, IMPATIENT)
    if code:
        pieces, error = await told(model, question)
        assert ("".join(pieces), error.code) == (ANSWER, code)
    else:
        assert await whole_answer(model, question) == ANSWER
    await model.close()


async def test_a_stream_is_known_by_its_looks_whatever_its_type_says(question: ModelRequest) -> None:
    event = 'data: {"token": {"text": " Grüße"}, "generated_text": " Grüße"}\n\n'.encode()
    chunks = [bytes([byte]) for byte in event]
    async with serving(*chunks, content_type="text/plain") as url:
        model = TextGeneration(url, token=None, patience=IMPATIENT, max_new_tokens=25)
        assert await whole_answer(model, question) == "Grüße"
        await model.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": "Model overloaded", "error_type": "overloaded"}', "model_rate_limited"),
        (b"<html><body>Bad gateway</body></html>", "model_bad_response"),
        (b"", "model_bad_response"),
        (b"\n \n", "model_bad_response"),
        (b": nothing but a comment\n\n", "model_bad_response"),
        (b"event: error\ndata: out of memory\n\n", "model_error"),
        (b'data: {"object": "error", "message": "too long", "code": 400}\n\n', "model_rejected"),
        (b'data: {"error": {"message": "no credit", "code": 402}}\n\n', "model_payment_required"),
        (b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n', "model_bad_response"),
        (b"data: [DONE]\n\n", "model_bad_response"),
        (
            b'data: {"token": {"text": "</s>", "special": true}, "generated_text": ""}\n\n',
            "model_bad_response",
        ),
        (b"data: " + b"[" * 100_000 + b"\n\n", "model_bad_response"),
    ],
)
async def test_a_stream_without_an_answer_is_an_error(question: ModelRequest, body: bytes, code: str) -> None:
    async with serving(body) as url:
        model = TextGeneration(url, token=None, patience=IMPATIENT, max_new_tokens=25)
        pieces, error = await told(model, question)
        await model.close()
    assert (pieces, error.code) == ([], code)


async def test_a_server_that_holds_the_connection_after_the_end_costs_no_time(question: ModelRequest) -> None:
    end = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n'
    async with serving(end, held=True) as url:
        model = ChatCompletions(url, model=None, token=None, patience=Patience(5, 5), max_tokens=25)
        async with asyncio.timeout(2):
            assert await whole_answer(model, question) == "Hi"
        await model.close()


@pytest.mark.parametrize("status", [404, 405])
async def test_an_unknown_address_names_the_setting_to_look_at(
    server: ModelServer, model: ChatModel, question: ModelRequest, status: int
) -> None:
    server.fail_next(status=status, body={"detail": "Not Found"})
    _, error = await told(model, question)
    other = {"chat-completions": "text-generation", "text-generation": "chat-completions"}[model.kind]
    assert error.detail.endswith(f"Then set MODEL_KIND={other}")


async def test_a_server_of_the_other_kind_names_the_setting_to_look_at(
    server: ModelServer, question: ModelRequest
) -> None:
    as_text = TextGeneration(
        f"{server.chat_url}/chat/completions", token=None, patience=IMPATIENT, max_new_tokens=25
    )
    _, error = await told(as_text, question)
    assert "Then set MODEL_KIND=chat-completions" in error.detail
    await as_text.close()
    async with serving(b'{"generated_text": "Hi"}') as url:
        as_chat = ChatCompletions(url, model=None, token=None, patience=IMPATIENT, max_tokens=25)
        _, error = await told(as_chat, question)
        assert "Then set MODEL_KIND=text-generation" in error.detail
        await as_chat.close()


async def test_a_system_prompt_goes_before_the_conversation(
    server: ModelServer, question: ModelRequest
) -> None:
    as_chat = ChatCompletions(
        server.chat_url, model=None, token=None, patience=IMPATIENT, max_tokens=25, system_prompt="Be brief."
    )
    as_text = TextGeneration(
        server.url, token=None, patience=IMPATIENT, max_new_tokens=25, system_prompt="Be brief."
    )
    for model in (as_chat, as_text):
        await whole_answer(model, question)
        await model.close()
    chat_body, text_body = (seen.body for seen in server.requests)
    assert chat_body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert len(chat_body["messages"]) == 4
    assert text_body["inputs"] == f"Be brief.\n{question.prompt}"
