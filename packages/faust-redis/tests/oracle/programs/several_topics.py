"""An agent that reads several topics, and several agents that read one."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("several-topics", topic_partitions=1)
one, two = app.topic("one", value_type=int), app.topic("two", value_type=int)


@app.agent(app.topic("one", "two", value_type=int))
async def both(stream: Any) -> None:
    async for event in stream.events():
        note("both", [event.message.topic, event.value])


@app.agent(one)
async def first(stream: Any) -> None:
    async for value in stream:
        note("first", value)


@app.agent(one, name="second-of-one")
async def second(stream: Any) -> None:
    async for value in stream:
        note("second", value)


@step(app)
async def result() -> Any:
    await send_all(one, 1, 2)
    await send_all(two, 3, 4)
    return {
        "both": sorted(await noted("both", 4)),
        "first": await noted("first", 2),
        "second": await noted("second", 2),
    }
