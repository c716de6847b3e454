"""Other services under test: servers of chat completions, with and without faults."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import orjson
import pytest
from aiohttp import web

from parley.loadtest.completions_user import KEY_VARIABLE
from parley.loadtest.generator import generate
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan

_MARK = re.compile(r"\[s\d+\.\d+\]")


def chunk(text: str, reason: str | None = None) -> bytes:
    """Return a server-sent event with a piece of an answer."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


class Stream:
    """An answer that is being sent."""

    def __init__(self, response: web.StreamResponse, request: web.Request, body: dict[str, Any]) -> None:
        self.response = response
        self.request = request
        self.body = body
        self.mark = _MARK.findall(body["messages"][-1]["content"])[-1]

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            await self.response.write(part)

    async def answer(self, mark: str | None = None) -> None:
        """Send a whole answer."""
        await self.send(chunk(mark or self.mark), chunk(" yes"), chunk("", "stop"), b"data: [DONE]\n\n")


Serve = Callable[[Stream, int], Awaitable[None]]


@asynccontextmanager
async def completions(serve: Serve, status: int = 200) -> AsyncIterator[tuple[str, list[Stream]]]:
    """Run a server that answers the message with a number by `serve`; yield its address and its answers."""
    streams: list[Stream] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if status != 200:
            return web.Response(status=status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        streams.append(Stream(response, request, body))
        await serve(streams[-1], len(streams))
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", streams
    finally:
        await runner.cleanup()


async def measured(url: str) -> Measures:
    """Test a service with two sessions of three messages."""
    plan = LoadPlan(url, "openai", sessions=2, messages=3, duration=0.0, drain=0.5, echo=True, model="tiny")
    return await generate(plan)


async def whole(stream: Stream, _number: int) -> None:
    await stream.answer()


async def without_reason(stream: Stream, _number: int) -> None:
    await stream.send(chunk(stream.mark), b"data: [DONE]\n\n")


async def empty(stream: Stream, number: int) -> None:
    if number != 4:
        await stream.answer()


async def cut_off(stream: Stream, number: int) -> None:
    await stream.send(chunk(stream.mark))
    if number == 4:
        assert stream.request.transport is not None
        stream.request.transport.abort()
        return
    await stream.send(chunk("", "stop"))


async def endless(stream: Stream, number: int) -> None:
    await stream.send(chunk(stream.mark))
    if number == 6:
        await asyncio.Event().wait()
    await stream.send(chunk("", "stop"))


async def twice(stream: Stream, number: int) -> None:
    await stream.answer()
    if number == 4:
        await stream.answer()


async def repeated(stream: Stream, number: int) -> None:
    await stream.answer(stream.mark * (2 if number == 4 else 1))


async def crossed(stream: Stream, number: int) -> None:
    await stream.answer("[s999.1]" if number == 4 else None)


async def belated(stream: Stream, number: int) -> None:
    session = stream.mark.partition(".")[0]
    await stream.answer(f"{session}.1]" if number == 4 else None)


@pytest.mark.parametrize(
    ("serve", "faults"),
    [
        (whole, {}),
        (without_reason, {}),
        (empty, {"lost": 1}),
        (cut_off, {"lost": 1}),
        (endless, {"lost": 1}),
        (twice, {"doubled": 1}),
        (repeated, {"doubled": 1}),
        (crossed, {"crossed": 1}),
        (belated, {"misordered": 1}),
    ],
)
async def test_each_fault_of_a_service_is_named_and_none_is_invented(
    serve: Serve, faults: dict[str, int]
) -> None:
    async with completions(serve) as (url, _):
        measures = await measured(url)

    assert {name: count for name, count in asdict(measures.faults).items() if count} == faults
    assert measures.sent == 6
    assert measures.answered == 6 - faults.get("lost", 0)
    assert not measures.problems


async def test_a_conversation_repeats_its_last_turns() -> None:
    async with completions(whole) as (url, streams):
        await measured(url)

    last = streams[-1].body["messages"]
    assert [each["role"] for each in last] == ["user", "assistant", "user", "assistant", "user"]
    assert streams[-1].body["model"] == "tiny"


async def test_refusals_are_errors_by_their_status() -> None:
    async with completions(whole, status=429) as (url, _):
        measures = await measured(url)

    assert measures.errors == {"status_429": 6}
    assert measures.faults.total == 0


async def test_an_error_within_a_stream_is_an_error_and_no_lost_answer() -> None:
    async def fail(stream: Stream, _number: int) -> None:
        await stream.send(chunk("Half"), b'data: {"error": {"code": "overloaded"}}\n\n')

    async with completions(fail) as (url, _):
        measures = await measured(url)

    assert measures.errors == {"overloaded": 6}


async def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sesame")
    async with completions(whole) as (url, streams):
        await measured(url)

    assert streams[0].request.headers["Authorization"] == "Bearer sesame"
