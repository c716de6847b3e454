"""Agents that ask others: a pipeline of asks, answers with keys and headers, replies by hand, and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("workflow", topic_partitions=2, reply_create_topic=True)


class Address(faust.Record):
    """A request."""

    street: str


@app.agent(value_type=Address)
async def normalize(stream: Any) -> AsyncIterator[Address]:
    async for address in stream:
        yield Address(address.street.strip().title())


@app.agent()
async def length(stream: Any) -> AsyncIterator[int]:
    async for text in stream:
        yield len(text)


@app.agent()
async def both(stream: Any) -> AsyncIterator[list[Any]]:
    async for text in stream:
        address = await normalize.ask(Address(text), key=b"k")
        yield [type(address).__name__, repr(address), await length.ask(address.street)]


@app.agent()
async def silent(stream: Any) -> AsyncIterator[None]:
    async for _ in stream:
        yield None


@app.agent()
async def twice(stream: Any) -> AsyncIterator[Any]:
    async for event in stream.events():
        note("headers", sorted(name for name in event.headers if not name.startswith("Faust")))
        yield [repr(event.key), event.value]


@app.agent(app.topic("callers", value_type=str))
async def caller(stream: Any) -> None:
    async for text in stream:
        note("called", await both.ask(text))


@step(app)
async def result() -> Any:
    await send_all(app.topic("callers", value_type=str), " main street ")
    nowait = await length.ask_nowait("four", reply_to=app.conf.reply_to)
    return {
        "called": await noted("called", 1),
        "none": await silent.ask("x"),
        "with a key": await twice.ask("v", key=b"key", headers={"mine": b"1"}),
        "headers": await noted("headers", 1),
        "of many": sorted(await asyncio.gather(*(both.ask(f" a{'b' * each} ") for each in range(6)))),
        "reply": type(nowait).__name__,
        "mapped": sorted([each async for each in length.map(["a", "bb", "ccc"], key=b"x")]),
        "joined": await length.join(["a", "bb"], key=b"y"),
    }
