"""Mount the page of all Faust apps in a web server of your own, and read the same figures in a program.

$ python stage_page.py
GET /faust/ 200
page-orders: 2 messages from shop-front, read by no app
"""

import asyncio
import os

import faust
from aiohttp import ClientSession, web

from faust_redis.watching import Watch, client_of, watch_app

BROKER = os.environ.get("BROKER", "redis://localhost:6379")
app = faust.App("shop-front", broker=BROKER, topic_partitions=1)
orders = app.topic("page-orders", key_type=str, value_type=str)


async def serve():
    site = web.Application()
    site.add_subapp("/faust/", watch_app(BROKER))  # for this machine only; admin_token="…" opens it to others
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def main():
    for item in ("tea", "milk"):
        await orders.send(key="Ada", value=item)
    await app.producer.stop()

    runner = await serve()
    host, port = runner.addresses[0]
    async with ClientSession() as client, client.get(f"http://{host}:{port}/faust/") as page:
        print("GET /faust/", page.status)
    await runner.cleanup()

    redis, namespace = client_of(BROKER)
    watch = Watch(redis, namespace=namespace)
    for topic in (await watch.snapshot()).topics:
        readers, writers = ", ".join(topic.readers) or "no app", ", ".join(topic.writers)
        print(f"{topic.name}: {topic.added} messages from {writers}, read by {readers}")
    await watch.stop()
    await redis.aclose()


asyncio.run(main())
