"""An agent with ``concurrency``: as many events at once, each one once."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step, until

app = make_app("concurrency", topic_partitions=1)
source = app.topic("source")
at_work: set[int] = set()
most: list[int] = []
go = asyncio.Event()


@app.agent(source, concurrency=3)
async def receive(stream: Any) -> None:
    async for value in stream:
        at_work.add(value)
        most.append(len(at_work))
        await go.wait()
        at_work.discard(value)
        note("seen", value)


@step(app)
async def result() -> Any:
    await send_all(source, *range(6))
    await until(lambda: len(at_work) == 3, "three events at work")
    go.set()
    return {"most": max(most), "seen": sorted(await noted("seen", 6)), "actors": len(receive._actors)}
