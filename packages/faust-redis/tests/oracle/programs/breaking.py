"""An agent that leaves its loop by ``break`` and begins another one: no event is lost between them."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import COMES_AGAIN, make_app, note, noted, notes, send_all, step

app = make_app("breaking", topic_partitions=1)
source = app.topic("source", value_type=int)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("first loop", value)
        if value == 2:
            break
    async for value in stream:
        note("second loop", value)


@step(app)
async def result() -> Any:
    await send_all(source, 1, 2)
    await noted("first loop", 2)
    await send_all(source, 3, 4)
    await noted("second loop", 3 if COMES_AGAIN else 2)
    return {"first loop": notes["first loop"], "second loop": sorted(notes["second loop"])}
