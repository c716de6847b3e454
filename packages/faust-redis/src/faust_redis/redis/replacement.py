"""Give up waiting for a silent server once another has taken its place.

A server that is frozen, or whose host is cut off, ends no connection. Its cluster or Sentinel notices, and
replaces it long before a reply counts as timed out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis import exceptions

from faust_redis.tasks import cancel_and_wait

__all__ = ["CHECK_SECONDS", "SUSPECT_SECONDS", "IsReplaced", "replaced", "unless_replaced"]

_T = TypeVar("_T")

#: Returns whether another server has taken the place of the one with this host and port.
IsReplaced = Callable[[str, int], Awaitable[bool]]

#: Seconds of silence after which a server may have been replaced. Above the longest blocking read, of 2 s.
SUSPECT_SECONDS: Final = 2.5
#: Seconds between two checks for a replacement, and until the first one while a connection opens.
CHECK_SECONDS: Final = 0.5


def replaced(host: str, port: int) -> exceptions.ConnectionError:
    """Return the error of a call to a server that was replaced."""
    return exceptions.ConnectionError(f"another server has taken the place of {host}:{port}")


async def unless_replaced(
    call: Awaitable[_T],
    place: Callable[[], tuple[str, int] | None],
    is_replaced: IsReplaced,
    patience_seconds: float,
) -> _T:
    """Await a call to a server, and cancel it if the server is replaced meanwhile.

    Args:
        place: the host and port of the server; None while they are being found.
        patience_seconds: until the first check.

    Raises:
        redis.exceptions.ConnectionError: the server was replaced.
    """
    calling = asyncio.ensure_future(call)
    try:
        while not (await asyncio.wait([calling], timeout=patience_seconds))[0]:
            patience_seconds = CHECK_SECONDS
            server = place()
            if server is not None and await is_replaced(*server) and not calling.done():
                raise replaced(*server)
        return calling.result()
    finally:
        await cancel_and_wait([calling])
