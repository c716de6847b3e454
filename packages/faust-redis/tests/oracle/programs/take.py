"""``take`` and its relatives hand on batches: full ones, and smaller ones once their time is up."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("take", topic_partitions=1)
values = app.topic("values")
events = app.topic("events", key_type=str)
unacked = app.topic("unacked")


@app.agent(values)
async def take_values(stream: Any) -> None:
    async for batch in stream.take(3, within=4.0):
        note("values", batch)


@app.agent(events)
async def take_events(stream: Any) -> None:
    async for batch in stream.take_events(2, within=4.0):
        note("events", [[event.key, event.value, event.message.partition] for event in batch])


@app.agent(unacked)
async def noack_take(stream: Any) -> None:
    async for batch in stream.noack_take(2, within=4.0):
        note("noack", [event.value for event in batch])
        for event in batch:
            await stream.ack(event)


@step(app)
async def result() -> Any:
    await send_all(values, *range(6))
    await noted("values", 2)
    await send_all(values, "late")
    await send_all(events, "x", "y", "z", key="k")
    await send_all(unacked, 1, 2, 3)
    return {
        "values": await noted("values", 3),
        "events": await noted("events", 2),
        "noack": await noted("noack", 2),
    }
