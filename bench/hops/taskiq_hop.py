"""A hop as a taskiq task that kicks the next one: ``taskiq worker bench/hops/taskiq_hop.py:broker``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from taskiq import TaskiqEvents
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisStreamBroker

HOP = int(os.environ.get("BENCH_HOP", "0"))
TUNED = os.environ.get("BENCH_TUNED") == "1"


def create_broker(hop: int) -> RedisStreamBroker:
    """Return the broker whose queue is the stream of a hop."""
    options: dict[str, Any] = {"xread_count": 500} if TUNED else {}
    broker = RedisStreamBroker(
        os.environ["BENCH_REDIS_URL"], queue_name=f"hop{hop}", consumer_id="0", **options
    )
    return broker.with_serializer(ORJSONSerializer()) if TUNED else broker


broker = create_broker(HOP)
following = create_broker(HOP + 1)


@following.task(task_name=f"forward{HOP + 1}")
async def forward_again(body: str) -> None:
    """Stand in for the task of the next hop, which does not run here."""


@broker.task(task_name=f"forward{HOP}")
async def forward(body: str) -> None:
    """Kick the next task with the same argument."""
    await forward_again.kiq(body)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(_state: Any) -> None:
    """Connect to the next queue."""
    await following.startup()


async def publish_sample(body: str) -> None:
    """Send one message to ``hop0``, as a sample of an entry."""
    await broker.startup()
    await forward.kiq(body)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(publish_sample(sys.argv[2]))
