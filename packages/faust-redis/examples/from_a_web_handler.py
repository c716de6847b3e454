"""Send from a program that is no worker, such as a web server, and look at the backlog.

$ python from_a_web_handler.py
offset 1
offset 2
2 orders wait, for no worker
"""

import asyncio
import os

import faust
from redis.asyncio import Redis

from faust_redis import Inspector, prepare

BROKER = os.environ.get("BROKER", "redis://localhost:6379")
app = faust.App("web", broker=BROKER, topic_partitions=1)
orders = app.topic("web-orders", key_type=str, value_type=str)


async def main():
    await prepare(app, [orders])  # at the start of the server: connects, and learns about the topic
    for item in ("tea", "milk"):
        sent = await orders.send(key="Ada", value=item)
        print("offset", (await sent).offset)  # Redis has it now
    async with Redis.from_url(BROKER) as redis:
        sample = await Inspector(redis).sample("web-orders", group="shop")
        workers = len(sample.members) or "no worker"
        print(f"{sample.lag} orders wait, for {workers}")
    await app.producer.stop()


asyncio.run(main())
