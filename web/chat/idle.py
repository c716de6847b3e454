"""Close idle sockets, so that a forgotten page does not occupy its place without limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from faust_redis.redis import cancel_and_wait
from web import keys
from web.chat.outbox import IDLE

# The share of SOCKET_IDLE_TIMEOUT by which a socket may be closed late.
_TOLERANCE = 0.05
_LONGEST_PAUSE_SECONDS = 60.0


async def close_idle_sockets(app: web.Application) -> AsyncIterator[None]:
    """Close sockets that had no message and no answer for SOCKET_IDLE_TIMEOUT seconds."""
    timeout = app[keys.SETTINGS].socket_idle_timeout
    if not timeout:
        yield
        return

    async def watch() -> None:
        while True:
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, timeout * _TOLERANCE))
            before = asyncio.get_running_loop().time() - timeout
            idle = [outbox for outbox in app[keys.OPEN] if outbox.used < before]
            closing = [outbox.close(IDLE, b"the socket was idle") for outbox in idle]
            await asyncio.gather(*closing, return_exceptions=True)

    task = asyncio.create_task(watch(), name="idle sockets")
    yield
    await cancel_and_wait([task])
