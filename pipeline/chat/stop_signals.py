"""Stopping a running answer, from any web node to whichever worker has it.

    stops   stream, fields `token` and `turn`: every infer worker reads all of it

The session holds that its turn is stopped; this only tells a worker that has begun already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from faust_redis.redis import (
    BLOCK_MS,
    StreamConnection,
    cancel_and_wait,
    is_unavailable,
    server_from_urls,
)
from pipeline.redis.client import execute, retry_until_available

logger = logging.getLogger(__name__)

_STREAM = "stops"
# Stops that a worker may have to catch up with after an outage; older ones concern answers long finished.
_LIMIT = 10_000
_RETRY_SECONDS = 0.2


async def announce_stop(redis: Redis, token: str, turn: str, *, patience: float | None = None) -> None:
    """Tell all workers that a turn is stopped.

    Args:
        patience: seconds to wait for Redis before its error is raised; None waits without end.
    """
    limit = ("MAXLEN", "~", _LIMIT)
    command = ("XADD", _STREAM, *limit, "*", "token", token, "turn", turn)
    await retry_until_available(lambda: execute(redis, *command), patience=patience)


class Stops:
    """Reads the stops, on a connection of its own; `watch` a turn before asking whether it is stopped."""

    def __init__(self, redis_url: str) -> None:
        """Take the address; nothing is connected yet."""
        self._url = redis_url
        self._watched: dict[str, Callable[[], None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Begin to read, if not begun; `watch` does it, too."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="stops")

    async def watch(self, turn: str, on_stop: Callable[[], None]) -> None:
        """Have `on_stop` called when the turn is stopped from now on; waits until the stream is read."""
        self._watched[turn] = on_stop
        self.start()
        await self._ready.wait()

    def forget(self, turn: str, on_stop: Callable[[], None]) -> None:
        """Watch a turn no more, unless somebody else has begun to."""
        if self._watched.get(turn) == on_stop:
            del self._watched[turn]

    async def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            await cancel_and_wait([self._reading])
            self._reading = None

    async def _read(self) -> None:
        connection = await retry_until_available(lambda: server_from_urls([self._url]).blocking(_STREAM))
        try:
            # Where the stream ends now, as a place: `$` would mean another one after each outage.
            last: bytes | str = await retry_until_available(lambda: _end_of(connection))
            self._ready.set()
            while True:
                try:
                    last = await self._read_once(connection, last)
                except Exception as error:
                    if not is_unavailable(error):
                        logger.exception("the stops could not be read; trying again")
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await connection.close()

    async def _read_once(self, connection: StreamConnection, last: bytes | str) -> bytes | str:
        reply: Any = await connection.execute("XREAD", "BLOCK", BLOCK_MS, "STREAMS", _STREAM, last)
        for _stream, entries in reply or ():
            for entry_id, fields in entries:
                last = entry_id
                on_stop = self._watched.get(fields[3].decode())
                if on_stop is not None:
                    on_stop()
        return last


async def _end_of(connection: StreamConnection) -> bytes | str:
    newest: Any = await connection.execute("XREVRANGE", _STREAM, "+", "-", "COUNT", 1)
    return newest[0][0] if newest else "0-0"
