"""Commands and their errors, whatever server they go to."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from mode import get_logger
from redis import exceptions
from redis.asyncio import Redis

__all__ = [
    "AT_ONCE",
    "BLOCK_MS",
    "REDIS_ERRORS",
    "SOCKET_TIMEOUT",
    "Command",
    "Outage",
    "execute",
    "is_unavailable",
]

logger = get_logger(__name__)

#: A command with its arguments.
Command = tuple[str | bytes | int, ...]

#: How long a blocking read waits, in ms. Far below any session time-out: a read that the server still
#: holds for a frozen worker must be over before another worker takes its partitions.
BLOCK_MS: Final = 1000

#: Seconds a command may take. Longer than BLOCK_MS, or every idle read would end as an error.
SOCKET_TIMEOUT: Final = 10.0

#: Calls of one kind at the same time, where there may be hundreds: each takes a connection, and a pool of
#: redis-py has 100, and raises where more are wanted. The heartbeats need some as well.
AT_ONCE: Final = 20

#: Seconds between words on one outage.
OUTAGE_INTERVAL: Final = 5.0

#: What says "not now": Redis is away, starting, full, or a replica after a failover, or an operator has
#: withdrawn a right, which can only be given back while messages are kept.
UNAVAILABLE: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.MasterDownError,
    exceptions.ClusterError,
    exceptions.TryAgainError,
    exceptions.AskError,  # and MovedError: the cluster moves a slot
    exceptions.SlotNotCoveredError,
    exceptions.NoScriptError,  # forgotten between its loading and its call
    exceptions.NoPermissionError,
    OSError,
)

#: Whatever else Redis, or the way to it, may say instead of an answer.
REDIS_ERRORS: Final = (exceptions.RedisError, *UNAVAILABLE)

# Replies that redis-py has no class for; of the others it cuts the code off. UNBLOCKED ends a blocking read
# when the server turns replica, or the stream is deleted. The last two say that a script lacks a right.
_TRANSIENT_PREFIXES: Final = (
    "BUSY ",
    "MISCONF",
    "NOREPLICAS",
    "UNBLOCKED",
    "ACL failure in script",
    "The user executing the script",
)


_NO_ANSWER: Final = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send a command and return its reply as Redis gave it."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says "not now", so that the same command may well succeed later."""
    if isinstance(error, UNAVAILABLE):
        return True
    return isinstance(error, exceptions.ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)


class Outage:
    """Says what can't be done for now, and why: at once, then every few seconds for as long as it lasts."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = -OUTAGE_INTERVAL

    def tell(self, error: BaseException) -> None:
        """Log an error, unless one was logged a moment ago."""
        now = monotonic()
        if now - self._told >= OUTAGE_INTERVAL:
            self._told = now
            how = "is away" if isinstance(error, _NO_ANSWER) else "refuses"
            logger.warning("%s: Redis %s (%s), trying again", self._what, how, error)
