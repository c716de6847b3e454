"""A hop as a Faust agent over this project's transport: ``faust -A bench.hops.transport worker``."""

from __future__ import annotations

import os
from typing import Any

import faust

from faust_redis import Options, configure

HOP = int(os.environ["BENCH_HOP"])

app = faust.App(
    f"hop{HOP}",
    broker=os.environ["BENCH_REDIS_URL"],
    topic_partitions=int(os.environ.get("BENCH_PARTITIONS", "8")),
    topic_replication_factor=1,
    broker_session_timeout=5.0,
    broker_heartbeat_interval=1.0,
    # Not Faust's 2.8 s: what is acked that late is still in Redis when the next round begins.
    broker_commit_interval=0.2,
    datadir=os.environ["BENCH_DATADIR"],
)
# As Parley's own agents have it.
configure(app, Options(freeze_gc=True))
source = app.topic(f"hop{HOP}", key_type=bytes, value_type=bytes, value_serializer="raw")
target = app.topic(f"hop{HOP + 1}", key_type=bytes, value_type=bytes, value_serializer="raw")


@app.agent(source)
async def forward(stream: Any) -> None:
    """Send every value on, under the same key."""
    async for event in stream.events():
        await target.send(key=event.key, value=event.value)
