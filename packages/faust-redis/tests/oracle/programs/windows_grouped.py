"""Windows in a table of an agent that regroups its stream, and what a restart finds of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import faust

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step


class Ride(faust.Record, coerce=True):
    """A ride of a taxi."""

    district: str
    cents: int
    at: datetime


app = make_app("windows-grouped", topic_partitions=3)
rides = app.topic("rides", key_type=str, value_type=Ride)
fares = (
    app.Table("fares", default=int, partitions=3)
    .hopping(20.0, 10.0, expires=timedelta(hours=3), key_index=True)
    .relative_to_field(Ride.at)
)
totals = app.Table("totals", default=int, partitions=3).tumbling(10.0, timedelta(hours=3))


@app.agent(rides)
async def add(stream: Any) -> None:
    async for event in stream.group_by(Ride.district, partitions=3).events():
        ride = event.value
        fares[ride.district] += ride.cents
        totals.relative_to(ride.at.timestamp())[ride.district] += 1
        window = fares[ride.district]
        note("seen", [
            [ride.district, event.key, window.current(), window.value(), window.delta(10.0)],
            totals.relative_to(ride.at.timestamp())[ride.district].value(),
            sorted(fares.relative_to_now().keys()), sorted(fares.items()),
        ])  # fmt: skip


async def drive(*given: tuple[str, int, float]) -> Any:
    for index, (district, cents, second) in enumerate(given):
        at = datetime.fromtimestamp(BASE + second, timezone.utc)  # noqa: UP017
        await send_all(rides, Ride(district, cents, at), key=str(index))
        await noted("seen", index + 1)
    return await noted("seen", len(given))


@step(app)
async def begin() -> Any:
    return await drive(
        ("north", 1, 15), ("south", 2, 16), ("north", 4, 25), ("north", 8, 2), ("south", 16, 40)
    )


@step(app)
async def go_on() -> Any:
    return await drive(("north", 32, 26), ("south", 64, 17), ("west", 128, 17))
