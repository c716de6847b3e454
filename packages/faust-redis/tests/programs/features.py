"""A Faust program that asks its own agent, and works in batches that may fail."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.types import StreamT
from redis.asyncio import Redis

URL = os.environ["TEST_REDIS_URL"]

app = faust.App(
    "features",
    broker=URL,
    topic_partitions=2,
    broker_session_timeout=3,
    broker_heartbeat_interval=0.5,
    broker_commit_interval=0.1,
)
batches = app.topic("batches")
notes = Redis.from_url(URL, decode_responses=True)


words = app.topic("words")
counts = app.Table("counts", default=int, partitions=2)


@app.agent(words)
async def count(stream: StreamT[Any]) -> None:
    async for word in stream:
        counts[word] += 1
        await notes.hset("counts", word, counts[word])


@app.agent()
async def double(stream: StreamT[Any]) -> AsyncIterator[int]:
    async for number in stream:
        yield number * 2


@app.agent(batches)
async def work_in_batches(stream: StreamT[Any]) -> None:
    async for batch in stream.take(3, within=0.2):
        if await notes.sismember("poison", "batch"):
            await notes.srem("poison", "batch")
            raise ValueError("the first batch fails")
        await notes.rpush("batched", *batch)


@app.task  # type: ignore[untyped-decorator]
async def ask() -> None:
    await notes.rpush("asked", await double.ask(21))
    await notes.rpush("mapped", *sorted([answer async for answer in double.map([1, 2, 3])]))
    await notes.rpush("joined", *await double.join([4, 5, 6]))


@app.task  # type: ignore[untyped-decorator]
async def send_batch() -> None:
    for number in range(3):
        await batches.send(key="k", value=number)
