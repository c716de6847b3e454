"""Join orders with their payments, and with the names of customers that a table holds.

$ faust -A joins worker --without-web
[WARNING] tea is paid: 4
[WARNING] cake is not paid within 2 seconds
[WARNING] tea was ordered by Ada
[WARNING] cake was ordered by an unknown customer
"""

import asyncio
import os

import faust

app = faust.App(
    "joins",
    broker=os.environ.get("BROKER", "redis://localhost:6379"),
    topic_partitions=1,
    broker_commit_interval=0.5,
)
ordered = app.topic("ordered", key_type=str, value_type=str)
paid = app.topic("paid", key_type=str, value_type=int)
reports = app.topic("reports", key_type=str, value_type=str)
names = app.topic("names", key_type=str, value_type=str)
customers = app.Table("customers", key_type=str, value_type=str)


@app.agent(ordered)
async def bill(orders):
    pairs = (orders & paid.stream()).left_join(within=2)
    async for goods, amount in pairs:
        if amount is None:
            print(f"{goods} is not paid within 2 seconds")
        else:
            print(f"{goods} is paid: {amount}")
        await reports.send(key="a" if goods == "tea" else "b", value=goods)


@app.agent(names)
async def learn(stream):
    async for customer, name in stream.items():
        customers[customer] = name


@app.agent(reports)
async def report(stream):
    done = []
    async for goods, name in (stream & customers).left_join():
        done.append(f"{goods} was ordered by {name or 'an unknown customer'}")
        if len(done) == 2:
            print(*done, sep="\n")


@app.task
async def shop():
    await names.send(key="a", value="Ada")
    await ordered.send(key="order 1", value="tea")
    await ordered.send(key="order 2", value="cake")
    await asyncio.sleep(0.5)
    await paid.send(key="order 1", value=4)
