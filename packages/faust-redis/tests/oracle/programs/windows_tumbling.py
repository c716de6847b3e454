"""Tumbling windows: what each way to read a window gives, by the time of the stream."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step

app = make_app("windows-tumbling", topic_partitions=1)
ticks = app.topic("ticks", key_type=str, value_type=int)
sums = app.Table("sums", default=int).tumbling(10.0, expires=timedelta(hours=2))
by_stream = sums.relative_to_stream()


@app.agent(ticks)
async def add(stream: Any) -> None:
    async for key, value in stream.items():
        by_stream[key] += value
        window = by_stream[key]
        note("seen", {"current": window.current(), "value": window.value(), "before": window.delta(10.0)})


@step(app)
async def result() -> Any:
    for second, value in [(1, 1), (9.9, 2), (10, 4), (25, 8), (12, 16)]:
        await send_all(ticks, value, key="k", timestamp=BASE + second)
    return await noted("seen", 5)
