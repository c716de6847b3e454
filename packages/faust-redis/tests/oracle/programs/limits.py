"""Small limits: one record a poll, a stream buffer of one, and publishing on commit."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app(
    "limits",
    topic_partitions=1,
    broker_max_poll_records=1,
    stream_buffer_maxsize=1,
    stream_publish_on_commit=True,
)
source = app.topic("source", value_type=int)
target = app.topic("target", value_type=int)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        await event.forward(target)


@app.agent(target)
async def end(stream: Any) -> None:
    async for value in stream:
        note("target", value)


@step(app)
async def result() -> Any:
    await send_all(source, *range(10))
    return await noted("target", 10)
