"""Settings of Faust's that mean something here, each by its effect."""

from __future__ import annotations

from typing import Any

import faust

from tests.conformance.programs.common import SETTINGS, note

LAST = 3


def everything_to_the_last(key: bytes | None, every: list[int], available: list[int]) -> int:
    return every[LAST]


app: Any = faust.App(
    "settings",
    consumer_auto_offset_reset="latest",
    producer_partitioner=everything_to_the_last,
    broker_max_poll_records=1,
    stream_publish_on_commit=True,
    stream_recovery_delay=0.5,
    **SETTINGS,
)


@app.agent(app.topic("latest"))
async def latest(stream: Any) -> None:
    async for event in stream.events():
        await note("latest", event.value)
        await event.forward("forwarded")


@app.agent(app.topic("latest-log", acks=False))
async def latest_log(stream: Any) -> None:
    async for value in stream:
        await note("latest-log", value)


@app.agent(app.topic("forwarded"))
async def forwarded(stream: Any) -> None:
    async for event in stream.events():
        await note("forwarded", [event.value, event.message.partition])


@app.agent(app.topic("transient", retention=1.0, acks=False))
async def transient(stream: Any) -> None:
    async for value in stream:
        await note("transient", value)


closing = app.Table("closing", default=int).tumbling(1.0, expires=1.0)


@app.agent(app.topic("closes", key_type=str))
async def closes(stream: Any) -> None:
    async for key, _ in stream.items():
        closing[key] += 1
        await note("closes", key)
