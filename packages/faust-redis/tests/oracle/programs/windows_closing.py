"""Windows of lists that are closed by a coroutine and sent on, as daily reports are."""

from __future__ import annotations

import time
from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Reading(faust.Record):
    """A value of a sensor."""

    sensor: str
    value: float
    at: float


app = make_app("windows-closing", topic_partitions=2, topics=("averages",))
app.conf.table_cleanup_interval = 0.3
readings = app.topic("readings", key_type=str, value_type=Reading)
averages = app.topic("averages", key_type=str, value_type=float)
begins: list[float] = []


async def report(key: Any, values: Any) -> None:
    sensor, (begin, end) = key
    note("closed", [sensor, round(begin - begins[0]), round(end - begin, 1), [each.value for each in values]])
    await averages.send(key=sensor, value=sum(each.value for each in values) / len(values))


window = (
    app.Table("window", default=list, on_window_close=report)
    .tumbling(2.0, expires=4.0)
    .relative_to_field(Reading.at)
)


@app.agent(readings)
async def gather(stream: Any) -> None:
    async for reading in stream:
        held = window[reading.sensor].value()
        held.append(reading)
        window[reading.sensor] = held
        note("held", [reading.sensor, len(held)])


@app.agent(averages)
async def receive(stream: Any) -> None:
    async for sensor, average in stream.items():
        note("averages", [sensor, average])


@step(app)
async def result() -> Any:
    begins.append(time.time() // 2 * 2)
    for sensor, value, second in [("a", 1.0, 0.1), ("a", 3.0, 0.2), ("b", 5.0, 0.3), ("a", 9.0, 2.5)]:
        await send_all(readings, Reading(sensor, value, begins[0] + second), key=sensor)
    await noted("held", 4)
    return {"closed": sorted(await noted("closed", 3)), "averages": sorted(await noted("averages", 3))}
