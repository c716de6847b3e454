"""Channels of memory: an agent on one, what it is given, and iterating one by hand."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("channel", topic_partitions=1)
local = app.channel(value_type=int, maxsize=10)
by_hand = app.channel()


@app.agent(local)
async def on_channel(stream: Any) -> None:
    async for event in stream.events():
        note("channel", [event.key, event.value, event.message.topic, event.message.offset])


@app.agent(app.topic("source", key_type=str, value_type=int))
async def from_topic(stream: Any) -> None:
    async for key, value in stream.items():
        await local.send(key=key, value=value)


@app.task
async def iterate() -> None:
    async for event in by_hand:
        note("by hand", event.value)


@step(app)
async def result() -> Any:
    await send_all(app.topic("source", key_type=str, value_type=int), 1, 2, key="k")
    await by_hand.send(value="one")
    await by_hand.send(key="k", value={"two": 2})
    return {"channel": await noted("channel", 2), "by hand": await noted("by hand", 2)}
