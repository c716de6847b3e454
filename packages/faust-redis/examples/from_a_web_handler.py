"""Send from a program that is not a worker, such as a web server, and read the backlog.

$ python from_a_web_handler.py
offset 1
offset 2
2 orders wait, 0 workers
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
    await prepare(app, [orders])  # at the start of the server: connects, and looks the topic up
    for item in ("tea", "milk"):
        sent = await orders.send(key="Ada", value=item)
        print("offset", (await sent).offset)  # Redis has confirmed the message
    async with Redis.from_url(BROKER) as redis:
        sample = await Inspector(redis).sample("web-orders", group="shop")
        print(f"{sample.lag} orders wait, {len(sample.members)} workers")
    await app.producer.stop()


asyncio.run(main())
