"""A Faust program that joins two streams, and notes each result."""

from __future__ import annotations

import os
from typing import Any

import faust
from faust.types import StreamT
from redis.asyncio import Redis

URL = os.environ["TEST_REDIS_URL"]
TEXT: Any = str

app = faust.App(
    "joining",
    broker=URL,
    topic_partitions=4,
    broker_session_timeout=2,
    broker_heartbeat_interval=0.3,
    broker_commit_interval=0.1,
)
left = app.topic("left", key_type=TEXT, value_type=TEXT)
right = app.topic(
    "right", key_type=TEXT, value_type=TEXT, partitions=int(os.environ.get("TEST_RIGHT_PARTITIONS", 4))
)
notes = Redis.from_url(URL.partition("?")[0], decode_responses=True)


@app.agent(left)
async def pair(stream: StreamT[Any]) -> None:
    merged: Any = stream & right.stream()
    async for one, other in getattr(merged, os.environ.get("TEST_JOIN", "left_join"))(
        within=float(os.environ.get("TEST_WITHIN", 60))
    ):
        await notes.rpush("pairs", f"{one} {other}")
