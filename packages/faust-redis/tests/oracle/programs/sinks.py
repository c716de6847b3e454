"""Sinks of an agent: a function, a coroutine function, a topic, another agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("sinks")
outputs = app.topic("outputs", value_type=int)


def function(value: Any) -> None:
    note("function", value)


async def coroutine_function(value: Any) -> None:
    note("coroutine function", value)


@app.agent(app.topic("for-agent", value_type=int))
async def other(stream: Any) -> None:
    async for event in stream.events():
        note("agent", [event.key, event.value])


@app.agent(outputs)
async def read_outputs(stream: Any) -> None:
    async for event in stream.events():
        note("topic", [event.key, event.value])


@app.agent(app.topic("inputs", value_type=int), sink=[function, coroutine_function, outputs, other])
async def increment(stream: Any) -> AsyncIterator[int]:
    async for value in stream:
        yield value + 1


@step(app)
async def result() -> Any:
    await send_all(app.topic("inputs", key_type=str, value_type=int), 1, 2, key="k")
    # Without a key, outputs go to any partition, so they come in any order.
    return {
        name: sorted(await noted(name, 2)) for name in ("function", "coroutine function", "topic", "agent")
    }
