"""Events by hand: acks, context managers, timestamps in batches, current events in helpers, no keys."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step

app = make_app("event-steps", topic_partitions=1)
acked = app.topic("acked", key_type=str, value_type=int)
stamped = app.topic("stamped", value_serializer="json")
empty = app.topic("empty", key_type=str, value_type=int, allow_empty=True)


def where() -> Any:
    event = faust.current_event()
    return (
        [event.message.topic, event.message.partition, event.key, event.message.timestamp_type]
        if event
        else None
    )


@app.agent(acked)
async def ack(stream: Any) -> None:
    async for event in stream.noack().events():
        async with event:
            note("acked", [event.value, event.acked, where()])
        note("after", event.acked)


@app.agent(stamped)
async def stamp(stream: Any) -> None:
    async for batch in stream.take_with_timestamp(2, within=3.0, timestamp_field_name="at"):
        note("stamped", [[value["n"], round(value["at"] - BASE, 3)] for value in batch])


@app.agent(empty)
async def see_empty(stream: Any) -> None:
    async for key, value in stream.items():
        note("empty", [key, value])


@step(app)
async def result() -> Any:
    await send_all(acked, 1, 2, key="k")
    for number in (1, 2, 3, 4):
        await send_all(stamped, {"n": number}, timestamp=BASE + number / 4)
    await send_all(empty, 1, 0, key="k")
    await send_all(empty, 5)
    counts = {"acked": 2, "after": 2, "stamped": 2, "empty": 3}
    return {name: await noted(name, count) for name, count in counts.items()}
