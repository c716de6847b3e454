"""Shapes of streams that servers, and the proxies before them, put on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import orjson
import pytest

from pipeline.errors import ModelError
from pipeline.models import ChatModel, ModelRequest, Retraction, Thought, Usage
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from pipeline.models.text_generation import TextGeneration
from tests.support.raw_server import answering, head, refusal
from tests.support.wire_server import DONE, chunk, generated, serving

PATIENCE = Patience(first=2, between=0.4)


@dataclass
class Heard:
    """The parts that a model yielded."""

    text: str = ""
    thoughts: str = ""
    usage: Usage | None = None
    error: ModelError | None = None
    pieces: list[str] = field(default_factory=list)


async def hear(model: ChatModel, question: ModelRequest) -> Heard:
    """Ask a model to the end."""
    heard = Heard()
    try:
        async with aclosing(model.stream(question)) as parts:
            async for part in parts:
                match part:
                    case str():
                        heard.text += part
                        heard.pieces.append(part)
                    case Thought(text):
                        heard.thoughts += text
                    case Retraction(thought):
                        heard.text, heard.thoughts = "", heard.thoughts + thought
                    case Usage():
                        heard.usage = part
    except ModelError as exc:
        heard.error = exc
    return heard


@asynccontextmanager
async def chat_of(*steps: bytes | float, held: bool = False, head: bytes = b"") -> AsyncIterator[ChatModel]:
    """Return a client of a server that answers a chat so."""
    async with serving(*steps, held=held, head=head) as url:
        model = ChatCompletions(url, model=None, token=None, patience=PATIENCE, max_tokens=25)
        yield model
        await model.close()


async def chat(question: ModelRequest, *steps: bytes | float, held: bool = False, head: bytes = b"") -> Heard:
    """Return what comes of a chat that a server answers so."""
    async with chat_of(*steps, held=held, head=head) as model:
        return await hear(model, question)


async def generate(question: ModelRequest, *steps: bytes | float) -> Heard:
    """Return what comes of a generation that a server answers so."""
    async with serving(*steps) as url:
        model = TextGeneration(url, token=None, patience=PATIENCE, max_new_tokens=25)
        heard = await hear(model, question)
        await model.close()
        return heard


@pytest.mark.parametrize(
    "steps",
    [
        (chunk("stop", role="assistant", content=""), chunk(content="Hello"), chunk(content=" you"), DONE),
        (chunk("null", content="Hello"), chunk("null", content=" you"), chunk("stop"), DONE),
        (chunk(content="Hello"), chunk("stop"), chunk(content=" you"), DONE),
        (chunk("stop", content="Hello"), chunk("stop", content=" you"), DONE),
        (chunk("stop", content="Hello"), 0.2, chunk("stop", content=" you"), 0.35, chunk("stop"), DONE),
        (chunk("", content="Hello"), chunk("", content=" you"), chunk("stop")),
        (chunk("stop"), 0.3, chunk(content="Hello you")),
        (chunk(content="Hello"), chunk(content=" you"), DONE, chunk(content=" never")),
    ],
)
async def test_a_stream_ends_with_its_mark_or_its_close_and_not_with_a_reason(
    question: ModelRequest, steps: tuple[bytes | float, ...]
) -> None:
    heard = await chat(question, *steps)
    assert (heard.text, heard.error) == ("Hello you", None)


async def test_a_reason_is_remembered_while_reading_goes_on(question: ModelRequest) -> None:
    heard = await chat(question, chunk(content="Hel"), chunk("content_filter"), chunk(content="lo"), DONE)
    assert heard.text == "Hello"
    assert heard.error is not None
    assert heard.error.code == "model_rejected"


async def test_the_error_of_a_choice_is_in_the_log(question: ModelRequest) -> None:
    choice = b'{"delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "upstream died"}}'
    heard = await chat(question, chunk(content="Hel"), b'data: {"choices": [' + choice + b"]}\n\n", DONE)
    assert heard.error is not None
    assert (heard.text, heard.error.code) == ("Hel", "model_error")
    assert "upstream died" in heard.error.log_line


async def test_text_after_the_whole_text_of_a_generation_is_read(question: ModelRequest) -> None:
    steps = (generated("Hello", "Hello"), generated(" you", "Hello you"))
    assert (await generate(question, *steps)).text == "Hello you"


SIGNS = [
    b"data:\n\n",
    b"data: \n\n",
    b"data: : keepalive\n\n",
    b": comment\n\n",
    b":\n",
    b"event: ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b"event: heartbeat\ndata: 2026-11-28T00:00:00Z\n\n",
    b"data: ping\n\n",
    b"data: [PING]\n\n",
    b"data: keep-alive\n\n",
    b'data: {"type": "ping"}\n\n',
    b"data: {}\n\n",
    b"data: null\n\n",
    b"\n\n",
    b"   \n",
    b"retry: 3000\n\n",
    b"id: 7\n\n",
    b": OPENROUTER PROCESSING\n\n",
]


@pytest.mark.parametrize("sign", SIGNS)
async def test_a_sign_of_life_is_skipped_and_keeps_the_answer_alive(
    question: ModelRequest, sign: bytes
) -> None:
    # Silent for longer than is allowed, but for the signs.
    waits: list[bytes | float] = [0.25, sign] * 3
    heard = await chat(
        question, sign, chunk(content="Hello"), *waits, 0.25, chunk("stop", content=" you"), DONE
    )
    assert (heard.text, heard.error) == ("Hello you", None)


@pytest.mark.parametrize("noise", [b"data: <b>no</b>\n\n", b"data: pinging for you\n\n", b"data: {oops\n\n"])
async def test_what_is_neither_json_nor_a_sign_ends_the_answer_and_is_shown_in_the_log(
    question: ModelRequest, noise: bytes
) -> None:
    heard = await chat(question, chunk(content="Hello"), noise, chunk(content=" you"), DONE)
    assert heard.text == "Hello"
    assert heard.error is not None
    assert heard.error.code == "model_bad_response"
    assert noise[6:-2].decode() in heard.error.log_line
    assert noise[6:-2].decode() not in heard.error.detail


@pytest.mark.parametrize("text", [b"<html>502 Bad Gateway</html>\n", b"Internal Server Error"])
async def test_text_between_events_is_shown_in_the_log_when_the_answer_breaks_off(
    question: ModelRequest, text: bytes
) -> None:
    heard = await chat(question, chunk(content="Hello"), text)
    assert heard.error is not None
    assert (heard.text, heard.error.code) == ("Hello", "model_unreachable")
    assert text.decode().strip() in heard.error.log_line


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (b'error: {"code": 500, "message": "slot unavailable"}\n\n', "model_error"),
        (b"error: out of memory\n\n", "model_error"),
        (b"event: error\ndata:\n\n", "model_error"),
        (b'event: error\ndata: {"error": {"message": "slow down", "code": "429"}}\n\n', "model_rate_limited"),
        (b'data: {"error": {"message": "?", "code": "context_length_exceeded"}}\n\n', "model_rejected"),
        (b'data: {"error": {"message": "?", "type": "invalid_api_key"}}\n\n', "model_unauthorized"),
        (b'{"error": {"message": "CUDA error", "code": 500}}', "model_error"),
        (b'{"error": {"message": "slow down", "code": "429"}}\n', "model_rate_limited"),
        (b'{\n  "error": {\n    "message": "no",\n    "code": 429\n  }\n}\n', "model_rate_limited"),
        (b'data: {"choices": [], "error": {"message": "no", "code": 502}}\n\n', "model_error"),
        (b'data: {"detail": "x", "status": "error"}\n\n', "model_error"),
    ],
)
async def test_an_error_in_mid_stream_ends_the_answer_with_its_own_code(
    question: ModelRequest, event: bytes, code: str
) -> None:
    heard = await chat(question, chunk(content="Hello"), event)
    assert heard.text == "Hello"
    assert heard.error is not None
    assert (heard.error.code, heard.error.status) == (code, 200)


THOUGHT_CHUNKS = [
    [chunk(reasoning_content="Hm, "), chunk(reasoning_content="so."), chunk(content="Hello")],
    [chunk(reasoning="Hm, "), chunk(reasoning="so.", content=""), chunk(content="Hello")],
    [chunk(thinking="Hm, so."), chunk(content="Hello")],
    [chunk(reasoning={"content": "Hm, so."}), chunk(content="Hello")],
    [chunk(reasoning_details=[{"type": "reasoning.text", "text": "Hm, so."}]), chunk(content="Hello")],
    [chunk(reasoning_details=[{"type": "reasoning.summary", "summary": "Hm, so."}]), chunk(content="Hello")],
    [chunk(reasoning="Hm, so.", reasoning_details=[{"text": "Hm, so."}]), chunk(content="Hello")],
    [chunk(thinking_blocks=[{"type": "thinking", "thinking": "Hm, so."}]), chunk(content="Hello")],
    [
        chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm, so."}]}]),
        chunk(content=[{"type": "text", "text": "Hello"}]),
    ],
    [chunk(content="<think>Hm, so.</think>Hello")],
    [chunk(content=piece) for piece in "<think>\nHm, so.</think>\n\nHello"],
    [chunk(content=piece) for piece in "[THINK]Hm, so.[/THINK]Hello"],
    [chunk(content=piece) for piece in "<reasoning>Hm, </reasoning>\n<thought>so.</thought>Hello"],
    [chunk(content=piece) for piece in "Hm, so.</think>\n\nHello"],
    [chunk(content="Hm, so.</think>Hello")],
    [chunk(content=piece) for piece in "<|channel|>analysis<|message|>Hm, so.<|end|><|start|>assistant"]
    + [chunk(content="<|channel|>final<|message|>Hello<|return|>")],
    [chunk(reasoning_content="Hm, so."), chunk(content="<think>\n\n</think>\n\nHello")],
]


@pytest.mark.parametrize("chunks", THOUGHT_CHUNKS)
async def test_thoughts_are_no_part_of_the_answer(question: ModelRequest, chunks: list[bytes]) -> None:
    heard = await chat(question, *chunks, chunk("stop"), DONE)
    assert (heard.text, heard.thoughts.strip(), heard.error) == ("Hello", "Hm, so.", None)


async def test_thoughts_of_a_whole_answer_are_no_part_of_it(question: ModelRequest) -> None:
    body = b'{"choices": [{"message": {"reasoning_content": "Hm.", "content": "<think>So.</think>Hello"}}]}'
    heard = await chat(question, body)
    assert (heard.text, heard.thoughts) == ("Hello", "Hm.So.")


@pytest.mark.parametrize("text", ["<think>Hm, so", "<think>Hm, so</thin", "<|channel|>analysis<|message|>Hm"])
async def test_a_thought_without_an_end_is_no_answer(question: ModelRequest, text: str) -> None:
    heard = await chat(question, chunk(content=text), chunk("length"), DONE)
    assert heard.text == ""
    assert heard.error is not None
    assert "MAX_NEW_TOKENS" in heard.error.detail


async def test_thoughts_in_a_generation_are_no_part_of_the_answer(question: ModelRequest) -> None:
    whole = "<think>Human: hi? Hm.</think>Hello"
    steps = [generated(piece) for piece in ("<thi", "nk>Human: hi? ", "Hm.</", "think>", "Hello")]
    heard = await generate(question, *steps, generated("", whole))
    assert (heard.text, heard.thoughts, heard.error) == ("Hello", "Human: hi? Hm.", None)


async def test_tags_that_are_special_tokens_of_a_generation_count(question: ModelRequest) -> None:
    marks = (generated("<think>", special=True), generated("Hm."), generated("</think>", special=True))
    heard = await generate(question, *marks, generated("Hello"), generated("</s>", "Hm.Hello", special=True))
    assert (heard.text, heard.thoughts, heard.error) == ("Hello", "Hm.", None)


async def test_a_model_that_begins_in_a_thought_is_remembered(question: ModelRequest) -> None:
    pieces = [chunk(content=piece) for piece in ("Hm, ", "so.", "</think>", "Hello", " you")]
    async with chat_of(*pieces, chunk("stop"), DONE) as model:
        assert (await hear(model, question)).text == "Hello you"
        second = await hear(model, question)
    assert (second.thoughts, "".join(second.pieces)) == ("Hm, so.", "Hello you")


async def test_a_thought_without_an_opening_tag_is_never_shown_of_a_model_known_by_its_name(
    question: ModelRequest,
) -> None:
    role = (
        b'data: {"model": "DeepSeek-R1-Distill-Qwen-7B", "choices": [{"delta": {"role": "assistant"}}]}\n\n'
    )
    steps = [chunk(content=piece) for piece in ("Hm, ", "so.", "</think>", "Hello", " you")]
    async with chat_of(role, *steps, chunk("stop"), DONE) as model, aclosing(model.stream(question)) as parts:
        heard = [part async for part in parts]
    assert not any(isinstance(part, Retraction) for part in heard)
    assert "".join(part for part in heard if isinstance(part, str)) == "Hello you"


async def test_the_first_token_of_a_plain_model_is_not_held_back(question: ModelRequest) -> None:
    async with (
        chat_of(chunk(content="Okay, "), 1.0, chunk("stop", content="so."), DONE) as model,
        aclosing(model.stream(question)) as parts,
    ):
        async with asyncio.timeout(0.9):
            assert await anext(parts) == "Okay,"


async def test_thoughts_keep_the_answer_alive(question: ModelRequest) -> None:
    thoughts: list[bytes | float] = [0.25, chunk(content="hm")] * 3
    heard = await chat(
        question, chunk(content="<think>"), *thoughts, chunk("stop", content="</think>Hello"), DONE
    )
    assert (heard.text, heard.error) == ("Hello", None)


@pytest.mark.parametrize(
    "usage",
    [
        b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n',
        b'data: {"choices": [{"delta": {}}], "usage": {"input_tokens": 3, "output_tokens": 4}}\n\n',
        b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": '
        b'{"prompt_tokens": 3, "completion_tokens": 4}}}\n\n',
    ],
)
async def test_the_tokens_are_read_wherever_they_stand(question: ModelRequest, usage: bytes) -> None:
    null = b'data: {"choices": [{"delta": {"content": "!"}}], "usage": null}\n\n'
    heard = await chat(question, chunk(content="Hello"), null, chunk("stop"), usage, DONE)
    assert (heard.text, heard.usage) == ("Hello!", Usage(3, 4))


async def test_a_head_of_many_kilobytes_is_read(question: ModelRequest) -> None:
    head = b"".join(b"X-Long-%d: %s\r\n" % (number, b"x" * 30_000) for number in range(3))
    assert (await chat(question, chunk("stop", content="Hello"), DONE, head=head)).text == "Hello"


async def test_a_server_that_holds_the_connection_after_the_reason_costs_a_second(
    question: ModelRequest,
) -> None:
    heard = await chat(question, chunk("stop", content="Hello"), held=True)
    assert (heard.text, heard.error) == ("Hello", None)


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_the_address_of_ollamas_own_protocol_is_answered_with_the_one_that_works(
    question: ModelRequest, path: str
) -> None:
    line = b'{"model": "m", "message": {"content": "Hi"}, "response": "Hi", "done": false}\n'
    async with serving(line, line, content_type="application/x-ndjson") as url:
        model = TextGeneration(f"{url}{path}", token=None, patience=PATIENCE, max_new_tokens=25)
        heard = await hear(model, question)
        await model.close()
    assert heard.error is not None
    assert "MODEL_URL ends in /v1" in heard.error.detail
    assert url not in heard.error.detail
    assert f"MODEL_URL={url}/v1" in heard.error.log_line


def _tgi(index: int, text: str, **last: object) -> bytes:
    token = {"id": index, "text": text, "logprob": -0.1, "special": False}
    return b"data:" + orjson.dumps({"index": index, "token": token, "generated_text": None, **last}) + b"\n\n"


async def test_tokens_of_a_generation_are_asked_for_where_the_server_is_known_to_count_them(
    question: ModelRequest,
) -> None:
    plain = head() + _tgi(1, "Hello") + _tgi(2, " you", generated_text="Hello you")
    details = {"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 7}
    counted = head() + _tgi(1, "Hello") + _tgi(2, " you", generated_text="Hello you", details=details)
    unknown = {"error": "The following `model_kwargs` are not used by the model: ['details']"}
    async with answering(plain, counted, refusal("400 Bad Request", unknown), plain, plain) as server:
        model = TextGeneration(server.url, token=None, patience=PATIENCE, max_new_tokens=25)
        heard = [await hear(model, question) for _ in range(4)]
        await model.close()
    assert [each.text for each in heard] == ["Hello you"] * 4
    assert [each.usage for each in heard] == [None, Usage(7, 2), None, None]
    asked = [body["parameters"].get("details") for body in server.bodies]
    assert asked == [None, True, True, None, None]
