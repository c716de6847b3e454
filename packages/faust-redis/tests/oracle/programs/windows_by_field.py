"""Windows relative to a field of the value, and to now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import faust

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step


class Reading(faust.Record):
    """A value of a sensor."""

    at: float
    value: int


app = make_app("windows-by-field", topic_partitions=1)
readings = app.topic("readings", key_type=str, value_type=Reading)
by_field = (
    app.Table("by-field", default=int)
    .tumbling(10.0, expires=timedelta(hours=2))
    .relative_to_field(Reading.at)
)
by_now = app.Table("by-now", default=int).tumbling(10.0, expires=timedelta(hours=2)).relative_to_now()


@app.agent(readings)
async def add(stream: Any) -> None:
    async for key, reading in stream.items():
        by_field[key] += reading.value
        by_now[key] += reading.value
        window = by_field[key]
        note("seen", [window.current(), window.delta(10.0), by_now[key].current()])


@step(app)
async def result() -> Any:
    for sent, at, value in [(1, 1, 1), (2, 15, 2), (3, 5, 4), (31, 16, 8)]:
        await send_all(readings, Reading(BASE + at, value), key="k", timestamp=BASE + sent)
    return await noted("seen", 4)
