"""Commands and their errors, whatever server they go to."""

from __future__ import annotations

from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

__all__ = ["BLOCK_MS", "SOCKET_TIMEOUT", "UNAVAILABLE", "Command", "execute", "is_unavailable"]

#: A command with its arguments.
Command = tuple[str | bytes | int, ...]

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
    exceptions.AskError,  # and MovedError: the cluster moves a slot
    exceptions.SlotNotCoveredError,
    exceptions.NoScriptError,  # forgotten between its loading and its call
    OSError,
)

# Replies that redis-py has no class for; of the others it cuts the code off. UNBLOCKED ends a blocking read
# when the server turns replica, or the stream is deleted.
_TRANSIENT_PREFIXES: Final = ("BUSY ", "MISCONF", "NOREPLICAS", "UNBLOCKED")


async def execute(redis: Redis, *command: str | bytes | int) -> Any:
    """Send a command and return its reply as Redis gave it."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says "not now", so that the same command may well succeed later."""
    if isinstance(error, UNAVAILABLE):
        return True
    return isinstance(error, exceptions.ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)
