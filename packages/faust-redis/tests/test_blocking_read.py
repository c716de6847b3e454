"""A blocking read that one task ends while another looks at what it brought."""

from __future__ import annotations

import asyncio
from typing import cast

from faust.types import TP

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.log.entries import Record
from faust_redis.log.keys import Keys
from faust_redis.redis.servers import Server


async def test_a_read_may_be_looked_at_while_another_task_has_it_ended() -> None:
    read = BlockingRead(cast(Server, None), Keys())

    async def nothing() -> dict[TP, list[Record]]:
        return {}

    async def unblock() -> None:
        await asyncio.sleep(0)
        assert read.task is not None
        await read.task
        read.task = None  # as the reader does with what it has looked at

    read.start(frozenset(), nothing, lambda: None)
    read.unblock = unblock  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        await read.finish()
