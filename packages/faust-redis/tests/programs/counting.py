"""A Faust program as a user writes it: it notes every value it is given in the list ``seen``."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, cast

import faust
from faust.types import StreamT
from redis.asyncio import Redis

URL = os.environ["TEST_REDIS_URL"]

app = faust.App(
    os.environ.get("TEST_APP", "counting"),
    broker=URL,
    topic_partitions=int(os.environ.get("TEST_PARTITIONS", "4")),
    broker_session_timeout=float(os.environ.get("TEST_SESSION_TIMEOUT", "3")),
    broker_heartbeat_interval=0.5,
    broker_commit_interval=0.1,
    processing_guarantee=os.environ.get("TEST_GUARANTEE", "at_least_once"),
    web_enabled=False,
)
numbers = app.topic(os.environ.get("TEST_NUMBERS", "numbers"), key_type=str)
doubled = app.topic("doubled", key_type=str)
notes = Redis.from_url(os.environ.get("TEST_NOTES_URL", URL), decode_responses=True)


@app.agent(numbers)
async def double(stream: StreamT[Any]) -> None:
    async for event in stream.events():
        key, number = cast(str, event.key), event.value
        if await notes.sismember("poison", str(number)):
            await notes.rpush("tried", str(number))
            raise ValueError(f"{number} is poison")
        await asyncio.sleep(float(os.environ.get("TEST_WORK", "0")))
        time.sleep(float(os.environ.get("TEST_BLOCK", "0")))  # noqa: ASYNC251  as careless handlers do
        await notes.rpush("seen", f"{key}:{number}:{os.getpid()}")
        await doubled.send(key=key, value=number * 2)


@app.agent(doubled)
async def collect(stream: StreamT[Any]) -> None:
    async for number in stream:
        await notes.rpush("doubled", number)
