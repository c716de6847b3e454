"""Commands and their errors, for any kind of server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final, TypeVar

from mode import get_logger
from redis import exceptions
from redis.asyncio import Redis

from faust_redis.errors import UnconfirmedWriteError

__all__ = [
    "AT_ONCE",
    "BLOCK_MS",
    "CONNECT_TIMEOUT",
    "PEER_TIMEOUT",
    "REDIS_ERRORS",
    "SOCKET_TIMEOUT",
    "Command",
    "Outage",
    "execute",
    "is_unavailable",
    "pause_after",
    "retry_while_unavailable",
]

logger = get_logger(__name__)
_T = TypeVar("_T")

#: A command with its arguments.
Command = tuple[str | bytes | int, ...]

#: Milliseconds that a blocking read waits. Far below any session time-out: a read that the server still
#: holds for a frozen worker must be over before another worker takes its partitions.
BLOCK_MS: Final = 1000

#: Seconds a command may take. Longer than BLOCK_MS, or every idle read would end as an error.
SOCKET_TIMEOUT: Final = 10.0

#: Seconds that opening a connection may take, with its TLS handshake. A host that is cut off never answers,
#: and while a process waits for it, it does not look for the replica that has taken over.
CONNECT_TIMEOUT: Final = 3.0

#: Seconds after which a connection is given up whose peer's host confirms no packet: it is cut off, or has
#: lost its power. A host that is up confirms packets even while its Redis is busy, which may take longer.
PEER_TIMEOUT: Final = 4.0

#: Maximum concurrent calls of one kind, where there may be hundreds: each takes a connection, and a pool of
#: redis-py has 100 and raises if more are requested. The heartbeats need some as well.
AT_ONCE: Final = 20

#: Seconds between log lines about one outage.
OUTAGE_INTERVAL: Final = 5.0

#: Seconds between attempts while Redis is unavailable, from the first pause to the longest.
RETRY_DELAYS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)

#: Temporary errors: Redis is unavailable, starting, full, or a replica after a failover, or an operator has
#: withdrawn a right, which may be restored as long as messages are kept.
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
    UnconfirmedWriteError,
    OSError,
)

#: All errors that Redis, or the connection to it, may raise.
REDIS_ERRORS: Final = (exceptions.RedisError, *UNAVAILABLE)

# Replies that redis-py has no class for; of the others it cuts the code off. UNBLOCKED ends a blocking read
# when the server becomes a replica, or the stream is deleted. The last two mean that a script lacks a right.
_TRANSIENT_PREFIXES: Final = (
    "BUSY ",
    "MISCONF",
    "NOREPLICAS",
    "UNBLOCKED",
    "ACL failure in script",
    "The user executing the script",
)


_CLOSED_TRANSPORT: Final = "unable to perform operation on"

_NO_ANSWER: Final = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send a command and return its reply as Redis gave it."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


def is_unavailable(error: BaseException) -> bool:
    """Return whether an error is temporary, so that the same command may succeed later."""
    if isinstance(error, UNAVAILABLE):
        return True
    if isinstance(error, RuntimeError):
        # uvloop raises it where a connection closes between its opening and its first command: a server does
        # so that has as many clients as it may (maxclients).
        return str(error).startswith(_CLOSED_TRANSPORT)
    return isinstance(error, exceptions.ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)


class Outage:
    """Logs an outage and its reason: at once, then every few seconds while it lasts."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._logged = -OUTAGE_INTERVAL

    def log(self, error: BaseException) -> None:
        """Log an error, unless one was logged recently."""
        now = monotonic()
        if now - self._logged >= OUTAGE_INTERVAL:
            self._logged = now
            logger.warning("%s: Redis %s (%s), trying again", self._doing, _outcome(error), error)


def _outcome(error: BaseException) -> str:
    """Return what Redis did instead of answering, for a log line."""
    if isinstance(error, exceptions.AuthenticationError):  # one of redis-py's connection errors
        return "refuses the login"
    return "is away" if isinstance(error, _NO_ANSWER) else "refuses"


def pause_after(failures: int) -> float:
    """Return the seconds to wait before the next try, after this many failed ones (at least 1)."""
    return RETRY_DELAYS[min(failures, len(RETRY_DELAYS)) - 1]


async def retry_while_unavailable(
    call: Callable[[], Awaitable[_T]], *, doing: str, is_stopping: Callable[[], bool]
) -> _T:
    """Repeat a call that may safely run twice, until Redis answers.

    Args:
        doing: The beginning of the log lines about an outage.

    Raises:
        redis.exceptions.RedisError: Redis is away while the caller stops, or the call itself failed.
    """
    outage = Outage(doing)
    for failures in itertools.count(1):
        try:
            return await call()
        except Exception as error:
            if not is_unavailable(error) or is_stopping():
                raise
            outage.log(error)
            await asyncio.sleep(pause_after(failures))
    raise AssertionError("unreachable")
