"""Connect to Redis with one pool per process, and repeat operations until an outage is over."""

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

#: Seconds that a reply may take: longer than a slow fsync of the append-only file, or a busy disk would count
#: as an outage.
SOCKET_TIMEOUT = 10.0
#: Seconds that opening a connection may take.
CONNECT_TIMEOUT = 5.0

#: Idle seconds after which a connection is checked before use, because a firewall may have dropped it.
HEALTH_CHECK_INTERVAL = 30

# Quick retries on a connection that just broke; ``retry_until_available`` handles longer outages.
_RETRIES = 2

# Seconds between tries during an outage: short enough to continue at once, long enough to spare a server that
# is loading its data.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class Client(Redis):
    """A client with a second, shared connection for ``execute`` and ``execute_many`` of this module.

    Commands that several tasks send at the same time share one round trip on it. The methods of redis-py
    still use the pool.
    """

    stream: StreamConnection

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connection and the pool."""
        await self.stream.close()
        await super().aclose(close_connection_pool)


def connect(url: str, *, max_connections: int = 64) -> Client:
    """Return a client with a pool of its own; ``aclose`` closes both.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix:///…``.
        max_connections: the size of the pool; further callers wait for a free connection.
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
    # RESP2, because its replies are lists as in Lua. No retries, because ``retry_until_available`` repeats
    # calls.
    no_retries = Retry(NoBackoff(), 0)
    client.stream = StreamConnection(ConnectionPool.from_url(url, protocol=2, retry=no_retries, **options))
    return client


def connect_reader(url: str) -> Client:
    """Return a client for blocking reads through ``execute``, each shorter than ``SOCKET_TIMEOUT``.

    It does not retry, because a retry would hide an outage.
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
    # Unix sockets have no keep-alive.
    return options if url.startswith("unix:") else {**options, "socket_keepalive": True}


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send one command and return its reply, unparsed if ``redis`` was made by ``connect``."""
    if isinstance(redis, Client):
        return await redis.stream.execute(*command)
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def execute_many(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands in one round trip and return their unparsed replies.

    Args:
        redis: a client made by ``connect``.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, or a command failed; the others were executed.
    """
    if not isinstance(redis, Client):
        raise TypeError(f"{redis!r} was not made by connect()")
    replies = await redis.stream.execute_many(commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


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
