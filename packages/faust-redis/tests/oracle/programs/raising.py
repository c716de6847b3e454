"""An agent that raises once: it goes on with the next event."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import COMES_AGAIN, make_app, note, noted, notes, send_all, step

app = make_app("raising", topic_partitions=1)
source = app.topic("source", value_type=int)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("seen", value)
        if value == 2 and notes["seen"].count(2) == 1:
            raise ValueError("once")
        note("done", value)


@step(app)
async def result() -> Any:
    await send_all(source, 1, 2)
    await noted("seen", 2)
    await send_all(source, 3, 4)
    await noted("done", 4 if COMES_AGAIN else 3)
    return {"done": sorted(notes["done"]), "tries of 2": notes["seen"].count(2)}
