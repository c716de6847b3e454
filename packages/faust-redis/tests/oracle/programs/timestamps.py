"""Timestamps: given ones, those of the clock, and of what is forwarded."""

from __future__ import annotations

import time
from typing import Any

from tests.oracle.stage import BASE, make_app, note, noted, step

app = make_app("timestamps", topic_partitions=1, topics=("unread",))
source = app.topic("source", value_type=str)
target = app.topic("target", value_type=str)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        recent = abs(event.message.timestamp - time.time()) < 60
        at = "recent" if recent else round(event.message.timestamp - BASE, 3)
        note("source", [event.value, at, event.message.timestamp_type])
        await event.forward("target")


@app.agent(target)
async def receive_forwarded(stream: Any) -> None:
    async for event in stream.events():
        recent = abs(event.message.timestamp - time.time()) < 60
        note("target", [event.value, "recent" if recent else round(event.message.timestamp - BASE, 3)])


@step(app)
async def result() -> Any:
    for value, timestamp in [
        ("given", BASE + 1.25),
        ("finer", BASE + 2.0005),
        ("absent", None),
        ("old", BASE - 1e6),
    ]:
        await source.send(value=value, timestamp=timestamp)
    metadata = await (await app.topic("unread").send(value="x", timestamp=BASE + 3.5))
    return {
        "source": await noted("source", 4),
        "target": await noted("target", 4),
        "metadata": [round(metadata.timestamp / 1000 - BASE, 3), metadata.timestamp_type],
    }
