"""Operations of a stream: ``filter``, ``enumerate``, ``items``, processors, ``echo``, ``current_event``."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("stream-operations", topic_partitions=1)
TOPICS = {
    name: app.topic(name, key_type=str, value_type=int)
    for name in ("filtered", "counted", "processed", "echoing")
}


@app.agent(TOPICS["filtered"])
async def filtered(stream: Any) -> None:
    async for value in stream.filter(lambda value: value % 2 == 0):
        note("filtered", value)


@app.agent(TOPICS["counted"])
async def counted(stream: Any) -> None:
    async for index, value in stream.enumerate(start=1):
        event = faust.current_event()
        note("counted", [index, value, event.key if event else None])


async def tenfold(value: int) -> int:
    return value * 10


@app.agent(TOPICS["processed"])
async def processed(stream: Any) -> None:
    stream.add_processor(lambda value: value + 1)
    stream.add_processor(tenfold)
    async for key, value in stream.items():
        note("processed", [key, value])


@app.agent(TOPICS["echoing"])
async def echoing(stream: Any) -> None:
    async for value in stream.echo("echoed"):
        note("echoing", value)


@app.agent(app.topic("echoed"))
async def echoed(stream: Any) -> None:
    async for value in stream:
        note("echoed", value)


@step(app)
async def result() -> Any:
    for topic in TOPICS.values():
        await send_all(topic, 1, 2, 3, key="k")
    counts = {"filtered": 1, "counted": 3, "processed": 3, "echoing": 3, "echoed": 3}
    return {name: await noted(name, count) for name, count in counts.items()}
