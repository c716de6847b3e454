"""A new app on a topic that holds events already: with ``latest`` it gets those that come from then on."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tests.oracle.stage import make_app, note, noted, notes, send_all, step

NAME = os.environ.get("ORACLE_APP", "sender")
app = make_app(
    NAME, topic_partitions=1, consumer_auto_offset_reset="latest" if NAME == "later" else "earliest"
)
source = app.topic("source", value_type=int, retention=3600.0)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("seen", value)


@step(app)
async def begin() -> Any:
    await send_all(source, 1, 2, 3)
    return await noted("seen", 3)


@step(app)
async def come_later() -> Any:
    """Send until something arrives: the app comes to a partition only some time after it owns it."""
    value = 4
    while not notes["seen"]:
        await send_all(source, value)
        value += 1
        await asyncio.sleep(0.2)
    return {"saw what was there before": notes["seen"][0] < 4}
