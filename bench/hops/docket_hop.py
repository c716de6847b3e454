"""A hop as a docket task that adds the next one; ``feed`` adds the first one.

A task is an entry of the docket's stream and a hash of its own with its state, written by one script, so the
messages of the first hop are added by docket itself.
"""

from __future__ import annotations

import asyncio
import os
import sys

from docket import Docket, Worker

from bench.hops.feeding import bodies_of, requests

HOP = int(os.environ.get("BENCH_HOP", "0"))
URL = os.environ["BENCH_REDIS_URL"]


async def forward(body: str) -> None:
    """Add the task of the next hop with the same argument."""
    await following.add(forward)(body)


following = Docket(name=f"hop{HOP + 1}", url=URL)


async def run() -> None:
    """Run the worker of one hop."""
    async with following, Docket(name=f"hop{HOP}", url=URL) as docket:
        docket.register(forward)
        async with Worker(docket) as worker:
            await worker.run_forever()


async def feed() -> None:
    """Add as many messages as a line of the input asks for, and answer with a line."""
    async with Docket(name="hop0", url=URL) as docket:
        docket.register(forward)
        async for request in requests():
            await docket.add_many([docket.call(forward)(body) for body in bodies_of(request)])
            print(flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "feed":
        asyncio.run(feed())
    else:
        asyncio.run(run())
