"""A Faust program with events that kill its process: at once, after a while, or never."""

from __future__ import annotations

import asyncio
import os
import signal

import faust
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import marked

URL = os.environ["TEST_REDIS_URL"]

app = faust.App(
    "poisoned",
    broker=f"{URL}?{os.environ.get('TEST_OPTIONS', '')}",
    topic_partitions=int(os.environ.get("TEST_PARTITIONS", "2")),
    broker_session_timeout=2.0,
    broker_heartbeat_interval=0.25,
    broker_commit_interval=0.1,
    web_enabled=False,
)
orders = app.topic("orders", value_type=str, value_serializer="raw")
notes = Redis.from_url(URL, decode_responses=True)


@app.agent(orders, concurrency=int(os.environ.get("TEST_CONCURRENCY", "50")))
async def work(stream: StreamT[str]) -> None:
    async for event in stream.events():
        if "TEST_MARKED" in os.environ:
            await marked(event, handle(event.value))
        else:
            await handle(event.value)


async def handle(order: str) -> None:
    if order == "kills at once":
        await notes.rpush("killed", order)
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(float(os.environ.get("TEST_WORK", "0.05")))
    if order == "kills late":
        await asyncio.sleep(1.5)
        await notes.rpush("killed", order)
        os.kill(os.getpid(), signal.SIGKILL)
    await notes.rpush("done", order)
