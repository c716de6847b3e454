"""Connections: one pool per process for commands, one connection of its own per blocking reader."""

from __future__ import annotations

from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

__all__ = ["BLOCK_MS", "UNAVAILABLE", "connect", "execute", "is_unavailable"]

#: How long a blocking read waits, in ms. Far below any session time-out: a read that the server still
#: holds for a frozen worker must be over before another worker takes its partitions.
BLOCK_MS: Final = 1000

#: Seconds a command may take. Longer than BLOCK_MS, or every idle read would end as an error.
SOCKET_TIMEOUT: Final = 10.0

#: What says "not now": Redis is away, starting, full, or a replica after a failover.
UNAVAILABLE: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    OSError,
)

# Replies that redis-py has no class for; of the others it cuts the code off.
_TRANSIENT_PREFIXES: Final = ("BUSY ", "MISCONF", "NOREPLICAS")


def connect(url: str, *, dedicated: bool = False) -> Redis:
    """Return a client for a ``redis://``, ``rediss://`` or ``unix://`` address; it connects at first use.

    Every caller has a loop of its own that knows what to repeat, so the client itself repeats nothing:
    a repeated ``XADD`` would be a second entry.

    Args:
        dedicated: One connection, held for as long as the client lives, for a blocking reader.
    """
    redis: Redis = Redis.from_url(
        url,
        protocol=2,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=SOCKET_TIMEOUT,
        socket_keepalive=True,
        single_connection_client=dedicated,
        retry=Retry(NoBackoff(), 0),
    )
    # Raw replies: redis-py would build a dict per entry, only for us to take it apart again.
    for command in ("XREADGROUP", "XREAD", "XRANGE"):
        redis.response_callbacks.pop(command, None)
    return redis


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send a command and return its reply as Redis gave it."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says "not now", so that the same command may well succeed later."""
    if isinstance(error, UNAVAILABLE):
        return True
    return isinstance(error, exceptions.ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)
