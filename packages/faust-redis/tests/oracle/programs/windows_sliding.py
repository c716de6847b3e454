"""Sliding windows, which Faust offers by ``using_window``."""

from __future__ import annotations

from typing import Any

from faust.windows import SlidingWindow

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step

app = make_app("windows-sliding", topic_partitions=1)
ticks = app.topic("ticks", key_type=str, value_type=int)
sums = app.Table("sums", default=int).using_window(SlidingWindow(before=5.0, after=5.0, expires=7200.0))
by_stream = sums.relative_to_stream()


@app.agent(ticks)
async def add(stream: Any) -> None:
    async for key, value in stream.items():
        by_stream[key] += value
        note("seen", by_stream[key].current())


@step(app)
async def result() -> Any:
    for second, value in [(1, 1), (1, 2), (4, 4)]:
        await send_all(ticks, value, key="k", timestamp=BASE + second)
    await noted("seen", 3)
    rows = [
        [key, round(begin - BASE, 3), round(end - BASE, 3), value]
        for (key, (begin, end)), value in sums.table.items()
    ]
    return {"seen": await noted("seen", 3), "windows": sorted(rows)}
