"""A new app on a topic that holds events already: with ``earliest`` it gets all of them."""

from __future__ import annotations

import os
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app(os.environ.get("ORACLE_APP", "sender"), topic_partitions=1)
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
    await send_all(source, 4)
    return await noted("seen", 4)
