"""Private parts of redis-py's connections and of asyncio's futures."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from redis import exceptions

__all__ = ["has_ended", "is_error_unseen", "raising_redis_errors", "take_writer"]

# The begin of uvloop's RuntimeError for a write to a connection that the server has reset.
_CLOSED_TRANSPORT = "unable to perform operation on"


@functools.cache
def raising_redis_errors(kind: type[Any]) -> type[Any]:
    """Return a class of redis-py connections that raises a ConnectionError when Redis ends the handshake.

    A server with as many clients as it may have, or a proxy before it, accepts a connection and closes it.
    redis-py passes on the RuntimeError that uvloop raises then.
    """

    class Reporting(kind):  # type: ignore[misc]
        async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            try:
                await super().send_packed_command(*args, **kwargs)
            except RuntimeError as error:
                if not str(error).startswith(_CLOSED_TRANSPORT):
                    raise
                raise exceptions.ConnectionError(
                    "Redis closed the connection during the handshake"
                ) from error

    Reporting.__name__, Reporting.__qualname__ = kind.__name__, kind.__qualname__
    return Reporting


def has_ended(connection: Any) -> bool:
    """Return whether Redis has closed a redis-py connection that is open on this side."""
    ended: bool = connection._reader.at_eof() or connection._writer.transport.is_closing()
    return ended


def take_writer(connection: Any) -> Any:
    """Take over the stream of a redis-py connection."""
    writer = connection._writer
    connection._reader = connection._writer = None
    return writer


def is_error_unseen(future: asyncio.Future[Any]) -> bool:
    """Return whether the error of a future was never retrieved."""
    unseen: bool = future._log_traceback
    return unseen
