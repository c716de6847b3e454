"""Hopping windows: an event counts in each window that holds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step

app = make_app("windows-hopping", topic_partitions=1)
ticks = app.topic("ticks", key_type=str, value_type=int)
sums = app.Table("sums", default=int).hopping(20.0, 5.0, expires=timedelta(hours=2), key_index=True)
by_stream = sums.relative_to_stream()


@app.agent(ticks)
async def add(stream: Any) -> None:
    async for key, value in stream.items():
        by_stream[key] += value
        window = by_stream[key]
        note("items", [sorted(by_stream.keys()), sorted(by_stream.items()), sorted(by_stream.values())])
        note("seen", [window.current(), window.delta(5.0), window.delta(20.0), window.value()])


def windows() -> list[Any]:
    """Return all windows of the table: key, begin, end, value."""
    rows = [
        [key, round(begin - BASE, 3), round(end - BASE, 3), value]
        for (key, (begin, end)), value in sums.table.items()
    ]
    return sorted(rows)


@step(app)
async def result() -> Any:
    for key, second, value in [("a", 21, 1), ("a", 24.99, 2), ("b", 25, 4), ("a", 40, 8)]:
        await send_all(ticks, value, key=key, timestamp=BASE + second)
    seen = await noted("seen", 4)
    return {
        "seen": seen,
        "items": await noted("items", 4),
        "windows": windows(),
    }
