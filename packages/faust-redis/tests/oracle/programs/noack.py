"""``noack``: events count as done only when the program says so; the others come again after a restart."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("noack", topic_partitions=1)
source = app.topic("source")


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.noack().events():
        note("seen", event.value)
        if event.value in ("one", "two"):
            event.ack()


@step(app)
async def begin() -> Any:
    await send_all(source, "one", "two", "three", "four")
    return await noted("seen", 4)


@step(app)
async def go_on() -> Any:
    await send_all(source, "five")
    return await noted("seen", 3)
