"""A worker that was stopped goes on after the last event that its agent finished."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("goes-on", topic_partitions=1)
source = app.topic("source")


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        note("seen", event.value)


@step(app)
async def begin() -> Any:
    await send_all(source, 1, 2, 3)
    return await noted("seen", 3)


@step(app)
async def go_on() -> Any:
    await send_all(source, 4, 5)
    return await noted("seen", 2)
