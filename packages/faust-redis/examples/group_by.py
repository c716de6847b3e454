"""Regroup a stream by another key, so that one worker sees all orders of a city, for any customer.

$ faust -A group_by worker --without-web
[WARNING] Paris 5
[WARNING] Rome 7
[WARNING] Paris 16
"""

import os

import faust


class Order(faust.Record):
    customer: str
    city: str
    amount: int


app = faust.App(
    "group-by",
    broker=os.environ.get("BROKER", "redis://localhost:6379"),
    topic_partitions=1,
)
orders = app.topic("orders", key_type=str, value_type=Order)
revenue = app.Table("revenue", default=int, partitions=1)


@app.agent(orders)
async def add_up(stream):
    # The orders pass through another topic, whose key is the city.
    async for order in stream.group_by(Order.city, partitions=1):
        revenue[order.city] += order.amount
        print(f"{order.city} {revenue[order.city]}")


@app.task
async def sell():
    for order in (Order("Ada", "Paris", 5), Order("Bob", "Rome", 7), Order("Cy", "Paris", 11)):
        await orders.send(key=order.customer, value=order)
