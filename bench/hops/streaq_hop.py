"""A hop as a streaQ task that enqueues the next one, plain or ``tuned``; ``feed`` enqueues the first one.

A task is an entry of the queue's stream and a key of its own with the arguments, written by one function of
Redis, so the messages of the first hop are enqueued by streaQ itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from streaq import Worker

from bench.hops.feeding import bodies_of, requests

HOP = int(os.environ.get("BENCH_HOP", "0"))
URL = os.environ["BENCH_REDIS_URL"]


async def forward(body: str) -> None:
    """Enqueue the task of the next hop with the same argument."""
    await following.enqueue_unsafe("forward", body)


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    """Connect to the next queue."""
    async with following:
        yield


following: Worker[Any] = Worker(redis_url=URL, queue_name=f"hop{HOP + 1}")


def create(tuned: bool) -> Worker[Any]:
    """Return the worker of one hop."""
    if tuned:
        # Many at once, no result for each, no log line, uvloop.
        worker: Worker[Any] = Worker(
            redis_url=URL,
            queue_name=f"hop{HOP}",
            lifespan=connected,
            concurrency=200,
            anyio_kwargs={"use_uvloop": True},
        )
        worker.task(ttl=0, silent=True)(forward)
    else:
        worker = Worker(redis_url=URL, queue_name=f"hop{HOP}", lifespan=connected)
        worker.task(forward)
    return worker


async def feed() -> None:
    """Enqueue as many messages as a line of the input asks for, and answer with a line."""
    queue: Worker[Any] = Worker(redis_url=URL, queue_name="hop0")
    async with queue:
        async for request in requests():
            await queue.enqueue_many([queue.enqueue_unsafe("forward", body) for body in bodies_of(request)])
            print(flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "feed":
        anyio.run(feed)
    else:
        create(sys.argv[1] == "tuned").run_sync()
