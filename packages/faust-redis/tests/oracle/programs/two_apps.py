"""Two apps read the same topic: each gets all of it; two workers of one app share it."""

from __future__ import annotations

import os
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step, until

app = make_app(os.environ.get("ORACLE_APP", "first"))
source = app.topic("source", value_type=int, retention=3600.0)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        note("seen", event.value)


@step(app)
async def only_read() -> Any:
    return sorted(await noted("seen", 8))


@step(app)
async def read_and_send() -> Any:
    for number in range(8):
        await send_all(source, number, partition=number % 4)
    return sorted(await noted("seen", 8))


@step(app)
async def share() -> Any:
    """Wait until two workers share the partitions; return how many this one has."""
    await until(lambda: owned() == 2, "half of the partitions")
    return owned()


def owned() -> int:
    return sum(each.topic == "source" for each in app.consumer.assignment())
