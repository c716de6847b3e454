"""A Faust program that asks about itself: once before its worker is ready, and once after."""

from __future__ import annotations

import os
from typing import Any

import faust
from faust.types import StreamT

from faust_redis import member_id, unready
from faust_redis.testing import eventually

app = faust.App(
    "probed",
    broker=os.environ["TEST_REDIS_URL"],
    topic_partitions=2,
    broker_session_timeout=3.0,
    web_enabled=False,
)
topic = app.topic("probed", value_type=str)


@app.agent(topic)
async def read(stream: StreamT[str]) -> None:
    async for _ in stream:
        pass


@app.on_worker_init.connect
def before(*_args: Any, **_kwargs: Any) -> None:
    print(f"at first: {unready(app)}")


@app.task  # type: ignore[untyped-decorator]
async def probe() -> None:
    await eventually(lambda: unready(app) is None, "a worker that is ready")
    print(f"ready: {member_id(app)}")
