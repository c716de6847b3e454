"""Connect to Redis with one client per process, and repeat operations until an outage is over."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis

import faust_redis.redis
from faust_redis import BrokerAddressError
from faust_redis.redis import (
    Command,
    KeyConnection,
    addresses_of,
    is_unavailable,
    server_from_urls,
    server_of,
)
from pipeline.errors import ParleyError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between tries during an outage: short enough to continue at once, long enough to spare a server that
# is loading its data.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


def connect(url: str, *, max_connections: int = 64) -> Redis:
    """Return a client of one server, of the primary behind Sentinel, or of a cluster; ``aclose`` closes it.

    Commands that several tasks send at the same time with ``execute`` and ``execute_many`` share round trips
    on one connection to each server; the methods of redis-py use a pool.

    Args:
        url: REDIS_URL; see ``faust_redis.redis.servers`` for the addresses.
        max_connections: the size of the pool of one server; further callers wait for a free connection.

    Raises:
        ParleyError: the address has a part or a parameter that Redis's client does not read.
    """
    try:
        return server_from_urls(addresses_of(url), pool_size=max_connections).commands
    except BrokerAddressError as exc:
        raise ParleyError(str(exc)) from exc


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send one command and return its unparsed reply.

    Args:
        redis: a client made by ``connect``.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, or refuses the command.
    """
    return await server_of(redis).stream.execute(*command)


async def execute_many(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands in one round trip, on a cluster one to each node; return their unparsed replies.

    Args:
        redis: a client made by ``connect``.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, or a command failed; the others were executed.
    """
    replies = await server_of(redis).stream.execute_many(commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def execute_in_steps(redis: Redis, *steps: Sequence[Command]) -> list[list[Any]]:
    """Send steps like ``execute_many``; each step is executed after all commands of the steps before it."""
    return await faust_redis.redis.execute_in_steps(redis, *steps)


async def execute_on_primaries(redis: Redis, *command: str | bytes | int) -> list[Any]:
    """Send one command to every primary and return the unparsed replies; raises like ``execute_many``."""
    return await server_of(redis).stream.execute_on_primaries(*command)


def dedicated_connection(redis: Redis, key: str) -> KeyConnection:
    """Return a connection of its own to the server that holds a key, for blocking reads."""
    return KeyConnection(server_of(redis), key)


async def retry_until_available(operation: Callable[[], Awaitable[T]], *, patience: float | None = None) -> T:
    """Repeat an operation while Redis is unreachable, loading, failing over or out of memory.

    Args:
        operation: an operation that is safe to run twice, because a failed try may have reached Redis.
        patience: seconds after which the error is raised; None waits without limit.
    """
    started = time.monotonic()
    failures = 0
    while True:
        try:
            result = await operation()
        except Exception as exc:
            if not is_unavailable(exc):
                raise
            waited = time.monotonic() - started
            if patience is not None and waited >= patience:
                raise
            if failures == 0:
                logger.warning("redis is unavailable; retrying until it is back: %s", exc)
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0)
            if patience is not None:
                pause = min(pause, patience - waited)
            failures += 1
            await asyncio.sleep(pause)
        else:
            if failures:
                logger.info("redis is back after %.1f s", time.monotonic() - started)
            return result
