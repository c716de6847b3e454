"""Send stop signals for running answers from any web node to the worker that runs the answer.

    stops   stream, fields ``session`` (the digest of its token) and ``turn``: every infer worker reads all
            entries

A turn has the id that its client chose, so only session and turn together name an answer. The session records
that its turn is stopped; the signal is only for a worker that has already begun.
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
from pipeline.chat.tokens import token_digest
from pipeline.redis.client import execute, retry_until_available

logger = logging.getLogger(__name__)

_STREAM = "stops"
# Entries kept for workers that catch up after an outage; older signals are for answers long finished.
_LIMIT = 10_000
_RETRY_SECONDS = 0.2


async def announce_stop(redis: Redis, token: str, turn: str, *, patience: float | None = None) -> None:
    """Signal to all workers that a turn is stopped.

    Args:
        patience: seconds to wait for Redis before its error is raised; None waits without limit.
    """
    limit = ("MAXLEN", "~", _LIMIT)
    command = ("XADD", _STREAM, *limit, "*", "session", token_digest(token), "turn", turn)
    await retry_until_available(lambda: execute(redis, *command), patience=patience)


class Stops:
    """Read stop signals on a dedicated connection.

    Call ``watch`` before reading from the session whether the turn is stopped, so that no signal falls
    between.
    """

    def __init__(self, redis_url: str) -> None:
        """Store the address; the first ``start`` or ``watch`` connects."""
        self._url = redis_url
        self._watched: dict[tuple[str, str], Callable[[], None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Start the reading task unless it runs."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="stops")

    async def watch(self, token: str, turn: str, on_stop: Callable[[], None]) -> None:
        """Register ``on_stop`` for a turn; returns once the stream is read, so that no signal is missed."""
        self._watched[token_digest(token), turn] = on_stop
        self.start()
        await self._ready.wait()

    def forget(self, token: str, turn: str, on_stop: Callable[[], None]) -> None:
        """Remove the callback of a turn unless another caller has replaced it."""
        place = token_digest(token), turn
        if self._watched.get(place) == on_stop:
            del self._watched[place]

    async def stop(self) -> None:
        """Stop the reading task."""
        if self._reading is not None:
            await cancel_and_wait([self._reading])
            self._reading = None

    async def _read(self) -> None:
        connection = await retry_until_available(lambda: server_from_urls([self._url]).blocking(_STREAM))
        try:
            # The id of the last entry instead of ``$``, which would skip the entries of every outage.
            last: bytes | str = await retry_until_available(lambda: _end_of(connection))
            self._ready.set()
            while True:
                try:
                    last = await self._read_once(connection, last)
                except Exception as error:
                    if not is_unavailable(error):
                        logger.exception("reading stop signals failed; trying again")
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await connection.close()

    async def _read_once(self, connection: StreamConnection, last: bytes | str) -> bytes | str:
        reply: Any = await connection.execute("XREAD", "BLOCK", BLOCK_MS, "STREAMS", _STREAM, last)
        for _stream, entries in reply or ():
            for entry_id, fields in entries:
                last = entry_id
                on_stop = self._watched.get((fields[1].decode(), fields[3].decode()))
                if on_stop is not None:
                    on_stop()
        return last


async def _end_of(connection: StreamConnection) -> bytes | str:
    newest: Any = await connection.execute("XREVRANGE", _STREAM, "+", "-", "COUNT", 1)
    return newest[0][0] if newest else "0-0"
