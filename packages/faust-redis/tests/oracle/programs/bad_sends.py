"""Sends that can't work: which error each raises, and where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("bad-sends", topic_partitions=2)
source = app.topic("source")
raw = app.topic("source", value_serializer="raw", key_serializer="raw")


class Item(faust.Record):
    """A record that holds what JSON can't."""

    thing: Any


@app.agent(source)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("seen", value)


async def error_of(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        sent = await call()
    except Exception as error:
        return ["on sending", type(error).__name__]
    try:
        await sent
    except Exception as error:
        return ["on confirmation", type(error).__name__]
    return "sent"


@step(app)
async def result() -> Any:
    errors = {
        "not JSON": await error_of(lambda: source.send(value=object())),
        "a field that is not JSON": await error_of(lambda: source.send(value=Item(object()))),
        "text as raw value": await error_of(lambda: raw.send(value=1)),
        "a number as raw key": await error_of(lambda: raw.send(key=1, value=b"x")),
        "no such serializer": await error_of(lambda: source.send(value=1, value_serializer="absent")),
        "no such partition": await error_of(lambda: source.send(value=1, partition=7)),
        "too large": await error_of(lambda: raw.send(value=b"1" + b"0" * 1_100_000)),
        "a header of text": await error_of(lambda: source.send(value="header", headers={"a": "text"})),
    }
    await send_all(source, "end")
    seen = [value for value in await noted("seen", 1) if isinstance(value, str)]
    return {"errors": errors, "seen": [value for value in seen if value == "end"]}
