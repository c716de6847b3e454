"""Positions of the consumer: assignment, highwaters, earliest offsets, seeking back."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from tests.oracle.stage import make_app, note, noted, send_all, step, until

app = make_app("positions", topic_partitions=2)
source = app.topic("source", value_type=int, retention=3600.0)
FIRST, EMPTY = TP("source", 0), TP("source", 1)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("seen", value)


@step(app)
async def result() -> Any:
    (first, *_) = await send_all(source, 1, 2, 3, partition=0)
    await noted("seen", 3)
    consumer = app.consumer
    earliest = await consumer.earliest_offsets(FIRST, EMPTY)
    highwaters = await consumer.highwaters(FIRST, EMPTY)
    await until(lambda: app.monitor.tp_committed_offsets.get(FIRST), "a commit")
    await consumer.seek(FIRST, first.offset + 1)
    seen = await noted("seen", 5)
    return {
        "assignment": sorted(map(list, consumer.assignment())),
        "earliest, from the first": [earliest[FIRST] - first.offset, earliest[EMPTY]],
        "highwater, from the first": [highwaters[FIRST] - first.offset, highwaters[EMPTY]],
        "after seeking": seen,
    }
