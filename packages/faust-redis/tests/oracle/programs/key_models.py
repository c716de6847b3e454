"""Records as keys: of messages, of tables, and in a changelog."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Place(faust.Record, serializer="json"):
    """A key."""

    country: str
    city: str


app = make_app("key-models", topic_partitions=2)
visits = app.topic("visits", key_type=Place, value_type=int)
counts = app.Table("counts", default=int, key_type=Place, value_type=int)


@app.agent(visits)
async def count(stream: Any) -> None:
    async for place, number in stream.items():
        counts[place] += number
        note("seen", [repr(place), counts[place]])


async def send(*visited: tuple[str, str, int]) -> Any:
    for country, city, number in visited:
        await send_all(visits, number, key=Place(country, city))
    return sorted(await noted("seen", len(visited)))


@step(app)
async def begin() -> Any:
    return await send(("UK", "York", 1), ("UK", "Bath", 2), ("UK", "York", 3))


@step(app)
async def go_on() -> Any:
    return await send(("UK", "York", 4), ("UK", "Bath", 5))
