"""A Faust program whose agents raise when they are cancelled, as careless ones do."""

from __future__ import annotations

import os

import faust
from faust.types import StreamT

app = faust.App(
    "raising",
    broker=os.environ["TEST_REDIS_URL"],
    topic_partitions=1,
    broker_session_timeout=3.0,
    broker_heartbeat_interval=0.5,
    web_enabled=False,
)
first = app.topic("first", value_type=str)
second = app.topic("second", value_type=str)


@app.agent(first)
async def raise_first(stream: StreamT[str]) -> None:
    async for _ in stream:
        pass
    raise RuntimeError("the first did not expect to stop")


@app.agent(second, concurrency=2)
async def raise_second(stream: StreamT[str]) -> None:
    async for _ in stream:
        pass
    raise RuntimeError("the second did not expect to stop")


@app.timer(0.1)  # type: ignore[untyped-decorator]
async def feed() -> None:
    await first.send(value="a")
    await second.send(value="b")
