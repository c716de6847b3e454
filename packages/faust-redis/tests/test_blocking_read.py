"""A blocking read that one task ends while another looks at what it brought."""

from __future__ import annotations

import asyncio
from typing import cast

from faust.types import TP

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.log.entries import Record
from faust_redis.redis.servers import Server


async def test_a_read_may_be_looked_at_while_another_task_has_it_ended() -> None:
    lane = BlockingRead(cast(Server, None))

    async def nothing() -> dict[TP, list[Record]]:
        return {}

    async def unblock() -> None:
        await asyncio.sleep(0)
        assert lane.read is not None
        await lane.read
        lane.read = None  # as the reader does with what it has looked at

    lane.start(frozenset(), nothing, lambda: None)
    lane.unblock = unblock  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await lane.finish()
