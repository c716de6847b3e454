"""Connections to Redis: one pool per process, and operations that outlive an outage."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff

from faust_redis.redis import Command, StreamConnection, is_unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds. Longer than the slowest fsync of an append-only file that we want to sit out; shorter, and a busy
# disk would look like an outage.
SOCKET_TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0

# Seconds without traffic after which a connection is tried before it is used: a firewall may have lost it.
HEALTH_CHECK_INTERVAL = 30

# Quick tries for a connection that just broke; what takes longer is left to `retry_until_available`.
_RETRIES = 2

# Seconds between tries during an outage: short enough to be back at once, long enough not to hammer a server
# that is loading its data.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class Client(Redis):
    """A client whose commands mostly take the short way: `execute` and `execute_many` of this module.

    They share one connection, and what several tasks ask for at the same time goes out and comes back
    together. redis-py's own methods still use the pool.
    """

    stream: StreamConnection

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connection and the pool."""
        await self.stream.close()
        await super().aclose(close_connection_pool)


def connect(url: str, *, max_connections: int = 64) -> Client:
    """Return a client with a pool of its own; `aclose` closes both.

    Args:
        url: `redis://…`, `rediss://…` or `unix:///…`.
        max_connections: callers beyond that wait for one to be free.
    """
    options = {**_options(url), "decode_responses": False}
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=SOCKET_TIMEOUT,
        health_check_interval=HEALTH_CHECK_INTERVAL,
        retry=Retry(ExponentialWithJitterBackoff(base=_FIRST_PAUSE, cap=_LONGEST_PAUSE), _RETRIES),
        **options,
    )
    client = cast(Client, Client.from_pool(pool))
    # RESP2: a reply is a list here as in Lua, so both are read alike. `retry_until_available` repeats calls.
    no_retries = Retry(NoBackoff(), 0)
    client.stream = StreamConnection(ConnectionPool.from_url(url, protocol=2, retry=no_retries, **options))
    return client


def connect_reader(url: str) -> Client:
    """Return a client for a loop of reads that block, through `execute`, for less than `SOCKET_TIMEOUT`.

    It makes no retries, which would hide an outage.
    """
    options: dict[str, Any] = {**_options(url), "retry": Retry(NoBackoff(), 0), "protocol": 2}
    client = cast(Client, Client.from_url(url, max_connections=1, **options))
    client.stream = StreamConnection(ConnectionPool.from_url(url, **options))
    return client


def _options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
    }
    # A Unix socket knows nothing of it.
    return options if url.startswith("unix:") else {**options, "socket_keepalive": True}


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send one command and return its reply as it is, unless a client of another kind dresses it up."""
    if isinstance(redis, Client):
        return await redis.stream.execute(*command)
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def execute_many(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands in one go and return their replies as they are.

    Args:
        redis: made by `connect`.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refused one of them; the others were executed.
    """
    if not isinstance(redis, Client):
        raise TypeError(f"{redis!r} was not made by connect()")
    replies = await redis.stream.execute_many(commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def retry_until_available(operation: Callable[[], Awaitable[T]], *, patience: float | None = None) -> T:
    """Run an operation until Redis is there to do it: not gone, starting, failing over or out of memory.

    Args:
        operation: safe to run twice, as nobody knows whether the first reached Redis.
        patience: seconds after which the outage is raised; None waits for as long as it takes.
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
                logger.warning("Redis is not available, trying until it is: %s", exc)
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0)
            if patience is not None:
                pause = min(pause, patience - waited)
            failures += 1
            await asyncio.sleep(pause)
        else:
            if failures:
                logger.info("Redis is back after %.1f s", time.monotonic() - started)
            return result
