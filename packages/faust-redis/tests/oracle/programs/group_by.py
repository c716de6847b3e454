"""``group_by`` a field and a function: the new keys, topics and partitions."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, step


class Sale(faust.Record, serializer="json"):
    """A purchase of a customer."""

    customer: str
    country: str
    amount: int


app = make_app("group-by")
sales = app.topic("sales", key_type=str, value_type=Sale)
orders = app.topic("orders", key_type=str, value_type=Sale)


@app.agent(sales)
async def by_country(stream: Any) -> None:
    async for event in stream.group_by(Sale.country).events():
        message = event.message
        note("country", [event.key, event.value.asdict(), message.topic, message.partition])


@app.agent(orders)
async def by_size(stream: Any) -> None:
    sized = stream.group_by(lambda sale: "big" if sale.amount > 10 else "small", name="size", partitions=2)
    async for event in sized.events():
        message = event.message
        note("size", [event.key, event.value.amount, message.topic, message.partition])


@step(app)
async def result() -> Any:
    for number, country in enumerate(["UK", "FR", "DE", "UK"]):
        sale = Sale(f"customer-{number}", country, number * 5)
        for topic in (sales, orders):
            await topic.send(key=sale.customer, value=sale)
    return {
        "country": sorted(await noted("country", 4), key=repr),
        "size": sorted(await noted("size", 4), key=repr),
    }
