"""A value of None: to an agent, by ``send``, and as what deletes a key of a table."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Item(faust.Record):
    """Something."""

    name: str


app = make_app("tombstones", topic_partitions=1)
typed = app.topic("typed", key_type=str, value_type=Item, allow_empty=True)
untyped = app.topic("untyped", key_type=str)
raw = app.topic("raw", key_type=str, value_type=bytes, value_serializer="raw")


@app.agent(typed)
async def see_typed(stream: Any) -> None:
    async for key, value in stream.items():
        note("typed", [key, repr(value)])


@app.agent(untyped)
async def see_untyped(stream: Any) -> None:
    async for event in stream.events():
        note("untyped", [event.key, repr(event.value), repr(event.message.value)])


@app.agent(raw)
async def see_raw(stream: Any) -> None:
    async for event in stream.events():
        note("raw", [event.key, repr(event.value)])


@step(app)
async def result() -> Any:
    await send_all(typed, Item("a"), key="k")
    await send_all(app.topic("typed", key_type=str, value_serializer="raw"), None, key="k")
    await send_all(untyped, "x", None, "", key="k")
    await send_all(raw, b"x", None, b"", key="k")
    await send_all(untyped, None)
    return {
        "typed": await noted("typed", 2),
        "untyped": await noted("untyped", 4),
        "raw": await noted("raw", 3),
    }
