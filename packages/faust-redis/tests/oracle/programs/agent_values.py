"""An agent gets the values of its topic; each partition in order."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("agent-values")
numbers = app.topic("numbers", value_type=int)


@app.agent(numbers)
async def collect(stream: Any) -> None:
    async for event in stream.events():
        note("seen", [event.message.partition, event.value])


@step(app)
async def result() -> Any:
    for partition in (0, 1):
        await send_all(numbers, 1, 2, 3, partition=partition)
    await collect.cast(4, partition=2)
    await collect.send(value=5, partition=2)
    await app.send("numbers", value=6, partition=2)
    seen = await noted("seen", 9)
    return {str(each): [value for partition, value in seen if partition == each] for each in range(4)}
