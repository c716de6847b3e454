"""Windows that are open are whole again after their worker was stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step

app = make_app("windows-recovered", topic_partitions=1)
ticks = app.topic("ticks", key_type=str, value_type=int)
tumbling = app.Table("tumbling", default=int).tumbling(10.0, expires=timedelta(hours=2)).relative_to_stream()
hopping = (
    app.Table("hopping", default=int).hopping(20.0, 10.0, expires=timedelta(hours=2)).relative_to_stream()
)


@app.agent(ticks)
async def add(stream: Any) -> None:
    async for key, value in stream.items():
        tumbling[key] += value
        hopping[key] += value
        window, other = tumbling[key], hopping[key]
        note("seen", [key, window.current(), window.delta(10.0), other.current(), other.delta(10.0)])


async def send(*ticked: tuple[str, int, int]) -> None:
    for key, second, value in ticked:
        await send_all(ticks, value, key=key, timestamp=BASE + second)


@step(app)
async def begin() -> Any:
    await send(("a", 1, 1), ("a", 2, 2), ("b", 3, 4), ("a", 12, 8))
    return await noted("seen", 4)


@step(app)
async def go_on() -> Any:
    await send(("a", 13, 16), ("b", 14, 32), ("a", 21, 64))
    return await noted("seen", 3)
