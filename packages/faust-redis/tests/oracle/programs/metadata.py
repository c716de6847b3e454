"""Metadata of a confirmed message: topic, partition, offset; callbacks and ``send_soon``."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("metadata", topic_partitions=2)
source = app.topic("source", value_type=int)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        note("seen", [event.value, event.message.partition])


@step(app)
async def result() -> Any:
    sent = [each._asdict() for each in await send_all(source, 1, 2, partition=1)]
    confirmed = asyncio.Event()
    await source.send(value=3, partition=1, callback=lambda future: confirmed.set())
    await confirmed.wait()
    source.send_soon(value=4, partition=1)
    (other,) = await send_all(source, 5, partition=0)
    return {
        "fields": sorted(sent[0]),
        "values": [
            [each["topic"], each["partition"], list(each["topic_partition"]), each["timestamp_type"]]
            for each in sent
        ],
        "first offset": sent[0]["offset"],
        "grows by": sent[1]["offset"] - sent[0]["offset"],
        "first offset of another partition": other.offset,
        "seen": sorted(await noted("seen", 5)),
    }
