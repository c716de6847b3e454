"""Run a hop as a FastStream subscriber and publisher; ``tuned`` as its documentation advises."""

from __future__ import annotations

import asyncio
import os
import sys

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

HOP = int(os.environ.get("BENCH_HOP", "0"))


def create(tuned: bool) -> FastStream:
    """Return the program of one hop."""
    if tuned:
        # No log line and no validation per message, many at once, and reads that bring and wait for more.
        broker = RedisBroker(os.environ["BENCH_REDIS_URL"], logger=None, apply_types=False)
        stream = StreamSub(
            f"hop{HOP}", group="bench", consumer="bench", max_records=200, polling_interval=1000
        )
        subscriber = broker.subscriber(stream=stream, max_workers=100)
    else:
        broker = RedisBroker(os.environ["BENCH_REDIS_URL"])
        subscriber = broker.subscriber(stream=StreamSub(f"hop{HOP}", group="bench", consumer="bench"))

    @subscriber
    @broker.publisher(stream=f"hop{HOP + 1}")
    async def forward(body: bytes) -> bytes:
        return body

    return FastStream(broker)


async def publish_sample(body: str) -> None:
    """Send one message to ``hop0``, as a sample of an entry."""
    async with RedisBroker(os.environ["BENCH_REDIS_URL"]) as broker:
        await broker.publish(body.encode(), stream="hop0")


if __name__ == "__main__":
    if sys.argv[1] == "sample":
        asyncio.run(publish_sample(sys.argv[2]))
    elif sys.argv[1] == "tuned":
        import uvloop

        uvloop.run(create(True).run())
    else:
        asyncio.run(create(False).run())
