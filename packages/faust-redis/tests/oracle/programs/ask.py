"""Asking an agent: ``ask``, ``map``, ``kvmap``, ``join``, ``kvjoin``, a reply topic of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.agents.models import ReqRepResponse

from tests.oracle.stage import make_app, note, noted, step

app = make_app("ask", topics=("answers",), reply_create_topic=True)


class Sum(faust.Record):
    """Two numbers."""

    left: int
    right: int


@app.agent()
async def square(stream: Any) -> AsyncIterator[int]:
    async for number in stream:
        yield number * number


@app.agent(app.topic("sums", value_type=Sum))
async def add(stream: Any) -> AsyncIterator[Any]:
    async for each in stream:
        yield {"sum": each.left + each.right}


@app.agent(app.topic("answers", value_type=ReqRepResponse))
async def answers(stream: Any) -> None:
    async for event in stream.events():
        note("answers", [event.value.key, event.value.value, event.value.correlation_id])


async def pairs() -> AsyncIterator[tuple[str, int]]:
    for pair in [("a", 2), ("b", 3)]:
        yield pair


@step(app)
async def result() -> Any:
    await square.send(key=b"k", value=5, reply_to="answers", correlation_id="mine")
    return {
        "ask": await square.ask(7),
        "ask a record": await add.ask(Sum(1, 2), key="k"),
        "map": sorted([answer async for answer in square.map([1, 2, 3])]),
        "kvmap": sorted([answer async for answer in square.kvmap(pairs())]),
        "join": await square.join([1, 2, 3]),
        "kvjoin": await square.kvjoin(pairs()),
        "at once": await asyncio.gather(*(square.ask(number) for number in range(5))),
        "answers": await noted("answers", 1),
    }
