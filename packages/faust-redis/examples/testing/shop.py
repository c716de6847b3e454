"""The program that ``test_shop.py`` tests."""

import os

import faust

app = faust.App("shop", broker=os.environ["BROKER"], topic_partitions=2)
orders = app.topic("orders", key_type=str, value_type=int)
bills = app.topic("bills", key_type=str, value_type=int, partitions=2)


@app.agent(orders, sink=[bills])
async def bill(stream):
    async for amount in stream:
        yield amount * 2
