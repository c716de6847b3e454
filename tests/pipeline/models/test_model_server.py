"""The fake model server speaks as the official clients of Hugging Face and OpenAI understand."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError, OverloadedError
from openai import APIError, AsyncOpenAI, RateLimitError
from openai.types.chat import ChatCompletionMessageParam

from tests.support.model_server import ModelServer, Question, last_human_text

PROMPT = "Human: Hi Bot: Hello Human: How are you? Bot:"
CHAT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How are you?"}]
ANSWER = "You said: How are you?"
REPOSITORY = Path(__file__).resolve().parents[3]


async def test_the_official_client_generates_text(server: ModelServer, hub: AsyncInferenceClient) -> None:
    assert await hub.text_generation(PROMPT, max_new_tokens=25) == ANSWER
    assert server.requests[-1].headers["authorization"] == "Bearer hf_x"


async def test_the_official_client_generates_text_with_details(hub: AsyncInferenceClient) -> None:
    output = await hub.text_generation(PROMPT, details=True)
    assert output.generated_text == ANSWER
    assert output.details is not None
    assert output.details.generated_tokens == 5


async def test_the_official_client_streams_text(hub: AsyncInferenceClient) -> None:
    parts = [part async for part in await hub.text_generation(PROMPT, stream=True)]
    assert len(parts) == 5
    assert "".join(parts) == ANSWER


async def test_the_official_client_streams_text_with_details(hub: AsyncInferenceClient) -> None:
    events = [event async for event in await hub.text_generation(PROMPT, stream=True, details=True)]
    assert [event.generated_text for event in events] == [None] * 4 + [ANSWER]
    assert events[-1].details is not None
    assert events[-1].details.finish_reason == "length"


async def test_the_official_client_completes_a_chat(hub: AsyncInferenceClient) -> None:
    output = await hub.chat_completion([{"role": "user", "content": "How are you?"}])
    assert output.choices[0].message.content == ANSWER


async def test_the_official_client_streams_a_chat(hub: AsyncInferenceClient) -> None:
    stream = await hub.chat_completion([{"role": "user", "content": "How are you?"}], stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_official_blocking_client_is_served_too(server: ModelServer) -> None:
    def ask() -> list[str]:
        with InferenceClient(server.url, token="hf_x", timeout=30) as client:
            completion = client.chat_completion([{"role": "user", "content": "How are you?"}])
            return [
                client.text_generation(PROMPT),
                "".join(client.text_generation(PROMPT, stream=True)),
                completion.choices[0].message.content or "",
            ]

    assert await asyncio.to_thread(ask) == [ANSWER] * 3


async def test_the_official_client_understands_its_errors(
    server: ModelServer, hub: AsyncInferenceClient
) -> None:
    server.fail_next(status=429, body={"error": "Model is overloaded", "error_type": "overloaded"})
    with pytest.raises(OverloadedError):
        await hub.text_generation(PROMPT)
    server.fail_next(status=503, body={"error": "loading", "estimated_time": 20})
    with pytest.raises(HfHubHTTPError):
        await hub.text_generation(PROMPT)


async def test_the_answer_function_sees_the_question(server: ModelServer) -> None:
    asked: list[Question] = []

    def answer(question: Question) -> str:
        asked.append(question)
        return "Fine."

    server.answer = answer
    async with aiohttp.ClientSession() as session:
        await session.post(server.url, json={"inputs": PROMPT})
        parts = [{"type": "text", "text": "Hi"}]
        chat = {"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": parts}]}
        await session.post(f"{server.chat_url}/chat/completions", json=chat)
    assert asked == [Question("How are you?", PROMPT), Question("Hi", "system: Be brief\nuser: Hi")]


async def test_an_answer_is_filled_up_to_the_number_of_tokens(
    server: ModelServer, hub: AsyncInferenceClient
) -> None:
    server.tokens = 40
    parts = [part async for part in await hub.text_generation(PROMPT, stream=True)]
    assert len(parts) == 40
    assert "".join(parts).startswith(ANSWER)


async def test_latency_and_token_delay_take_their_time(
    server: ModelServer, hub: AsyncInferenceClient
) -> None:
    server.latency, server.token_delay = 0.1, 0.05
    started = asyncio.get_running_loop().time()
    arrivals = [
        asyncio.get_running_loop().time() - started
        async for _ in await hub.text_generation(PROMPT, stream=True)
    ]
    assert arrivals[0] >= 0.1
    assert arrivals[-1] >= 0.3


async def test_failures_happen_in_the_order_planned_and_healing_forgets_them(server: ModelServer) -> None:
    server.fail_next(status=500, times=2)
    server.fail_next(status=404, headers={"X-Reason": "gone"})
    server.fail_next(status=400)
    async with aiohttp.ClientSession() as session:
        responses = [await session.post(server.url, json={"inputs": PROMPT}) for _ in range(3)]
        assert [response.status for response in responses] == [500, 500, 404]
        assert responses[-1].headers["X-Reason"] == "gone"
        server.heal()
        assert (await session.post(server.url, json={"inputs": PROMPT})).status == 200


@pytest.mark.parametrize("path", ["/generate_stream", "/v1/chat/completions"])
async def test_a_stream_can_die_after_its_first_token(server: ModelServer, path: str) -> None:
    server.fail_next("die_mid_stream")
    body = {"inputs": PROMPT, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    async with aiohttp.ClientSession() as session, session.post(server.url + path, json=body) as response:
        assert (await response.content.readline()).startswith(b"data: {")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b"not JSON"),
        ("/", b"[]"),
        ("/", b'{"inputs": 3}'),
        ("/", b'{"inputs": "x", "parameters": []}'),
        ("/v1/chat/completions", b'{"messages": "Hi"}'),
        ("/v1/chat/completions", b'{"messages": ["Hi"]}'),
    ],
)
async def test_a_wrong_request_is_refused(server: ModelServer, path: str, body: bytes) -> None:
    async with aiohttp.ClientSession() as session, session.post(server.url + path, data=body) as response:
        assert response.status == 422
        assert (await response.json())["error_type"] == "validation"


async def test_it_lists_its_model(server: ModelServer) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server.chat_url}/models") as response:
        assert [entry["id"] for entry in (await response.json())["data"]] == ["parley/fake"]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (PROMPT, "How are you?"),
        ("Human: Hi Bot:", "Hi"),
        ("no prefix", "no prefix"),
        ("Human: tell Bot: a story Bot:", "tell Bot: a story"),
        ("", ""),
    ],
)
def test_the_last_human_text_is_found(prompt: str, text: str) -> None:
    assert last_human_text(prompt) == text


async def test_as_a_command_it_prints_its_address_serves_and_stops(hub: AsyncInferenceClient) -> None:
    command = [sys.executable, "-m", "tests.support.model_server", "--port", "0", "--tokens", "40"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": ""}
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        answer = await hub.text_generation(PROMPT, model=url)
        assert answer.startswith(ANSWER)
        assert len(answer.split()) == 40
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_client_of_openai_completes_a_chat(openai: AsyncOpenAI) -> None:
    completion = await openai.chat.completions.create(model="any", messages=CHAT)
    assert completion.choices[0].message.content == ANSWER
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5


async def test_the_client_of_openai_streams_a_chat(server: ModelServer, openai: AsyncOpenAI) -> None:
    server.thoughts = 2
    stream = await openai.chat.completions.create(
        model="any", messages=CHAT, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(delta or "" for delta in deltas) == ANSWER
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [5]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "stop"


async def test_the_client_of_openai_reads_a_stream_in_single_bytes(
    server: ModelServer, openai: AsyncOpenAI
) -> None:
    server.answer = lambda _: "Grüße 👋🏽 你好"
    server.fail_next("trickle")
    stream = await openai.chat.completions.create(model="any", messages=CHAT, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "Grüße 👋🏽 你好"


async def test_the_client_of_openai_understands_its_errors(server: ModelServer, openai: AsyncOpenAI) -> None:
    server.fail_next(status=429, body={"error": {"message": "slow down"}})
    with pytest.raises(RateLimitError, match="slow down"):
        await openai.chat.completions.create(model="any", messages=CHAT)
    server.fail_next("error_event", body={"error": {"message": "out of memory"}})
    stream = await openai.chat.completions.create(model="any", messages=CHAT, stream=True)
    with pytest.raises(APIError, match="out of memory"):
        [chunk async for chunk in stream]


async def test_the_client_of_openai_lists_the_model(openai: AsyncOpenAI) -> None:
    assert [model.id async for model in openai.models.list()] == ["parley/fake"]
