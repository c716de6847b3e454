"""Check the names in the query of a broker's URL that are not options of the transport."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable

from redis.asyncio.connection import (
    URL_QUERY_ARGUMENT_PARSERS,
    BlockingConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)

from faust_redis.errors import OptionError

__all__ = ["check_name"]


def check_name(name: str, own: Iterable[str]) -> None:
    """Check that redis-py, or a Sentinel, reads a name in the query of a URL.

    Args:
        own: The names of the transport's own options, to suggest one.

    Raises:
        OptionError: It does not.
    """
    known = _redis_names()
    if name in known:
        return
    close = difflib.get_close_matches(name, [*own, *known], n=1)
    hint = f"did you mean {close[0]}?" if close else f"the transport's are {', '.join(own)}"
    # The value of a name that is misspelled may be a password.
    raise OptionError(name, "…", f"no option has this name; {hint}")


def _redis_names() -> set[str]:
    """Return the names that redis-py takes from the query of a URL, and those of Sentinel."""
    names = {*URL_QUERY_ARGUMENT_PARSERS, "sentinel_username", "sentinel_password"}
    for kind in (UnixDomainSocketConnection, SSLConnection, BlockingConnectionPool):
        for base in inspect.getmro(kind)[:-1]:
            names |= inspect.signature(base.__init__).parameters.keys()  # type: ignore[misc]
    return names - {"self", "kwargs", "args", "connection_kwargs", "connection_class"}
