"""A hop as a loop over redis-py: read a batch, add it to the next stream in one pipeline, then ack it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

HOP = int(os.environ["BENCH_HOP"])
GROUP = "bench"
BLOCK_MS = 1000


async def main(count: int) -> None:
    """Forward for as long as the process lives, up to ``count`` messages at once."""
    redis: Any = Redis.from_url(os.environ["BENCH_REDIS_URL"], protocol=2)
    source, target = f"hop{HOP}", f"hop{HOP + 1}"
    with contextlib.suppress(ResponseError):
        await redis.xgroup_create(source, GROUP, "0", mkstream=True)
    while True:
        batches = await redis.xreadgroup(GROUP, "bench", {source: ">"}, count=count, block=BLOCK_MS)
        for _stream, entries in batches or ():
            pipeline = redis.pipeline(transaction=False)
            for _entry_id, fields in entries:
                pipeline.xadd(target, fields)
            await pipeline.execute()
            await redis.xack(source, GROUP, *(entry_id for entry_id, _ in entries))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
