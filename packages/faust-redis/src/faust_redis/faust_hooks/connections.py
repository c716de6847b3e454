"""Private parts of redis-py's connections and of asyncio's futures."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from redis import exceptions
from redis.asyncio.connection import SSLConnection

__all__ = ["advice", "has_ended", "is_error_unseen", "raising_redis_errors", "take_writer"]

# The begin of uvloop's RuntimeError for a write to a connection that the server has reset.
_CLOSED_TRANSPORT = "unable to perform operation on"
# A port of TLS ends the connection of a client that sends none, with or without a reset.
_ENDED = ("Connection reset by peer", "Connection closed", "closed the connection during", "Broken pipe")
# A plain port waits for the end of the line that a TLS handshake seems to begin, or answers that it is wrong.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF", "Timeout connecting", *_ENDED)
# Redis's error for SELECT.
_NO_DATABASE = "DB index is out of range"


@functools.cache
def raising_redis_errors(kind: type[Any]) -> type[Any]:
    """Return a class of redis-py connections whose errors are redis-py's, with the likely cause.

    A server with as many clients as it may have, or a proxy before it, accepts a connection and closes it.
    redis-py passes on the RuntimeError that uvloop raises then.
    """

    class Reporting(kind):  # type: ignore[misc]
        async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            try:
                await super().connect_check_health(*args, **kwargs)
            except exceptions.RedisError as error:
                reason = advice(str(error), secure=issubclass(kind, SSLConnection), database=self.db)
                if not reason:
                    raise
                raise type(error)(f"{str(error).rstrip('.')}; {reason}") from error

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


def advice(error: str, *, secure: bool, database: int | str | None = None) -> str:
    """Return what to check in an address whose connection failed at its start; "" without a likely cause.

    Args:
        error: the text of the error.
        secure: whether the connection uses TLS.
        database: the number in the address.
    """
    if error.startswith(_NO_DATABASE):
        last = "the server's `databases` - 1, by default 15"
        return f"the address names database {database}, and allowed are 0 to {last}"
    if secure:
        is_likely = any(sign in error for sign in _NO_TLS)
        return "a port without TLS needs redis instead of rediss" if is_likely else ""
    is_likely = any(sign in error for sign in _ENDED)
    return "a port with TLS needs rediss instead of redis" if is_likely else ""


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
