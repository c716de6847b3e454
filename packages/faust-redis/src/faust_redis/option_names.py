"""Check the names in the query of a broker's URL that are not options of the transport."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from faust_redis.errors import OptionError
from faust_redis.redis.addresses import parameter_names

__all__ = ["check_name"]


def check_name(name: str, own: Iterable[str]) -> None:
    """Check that redis-py, or a Sentinel, reads a name in the query of a URL.

    Args:
        own: The names of the transport's own options, to suggest one.

    Raises:
        OptionError: It does not.
    """
    known = parameter_names() - {"connection_class"}
    if name in known:
        return
    close = difflib.get_close_matches(name, [*own, *known], n=1)
    hint = f"did you mean {close[0]}?" if close else f"the transport's are {', '.join(own)}"
    # The value of a name that is misspelled may be a password.
    raise OptionError(name, "…", f"no option has this name; {hint}")
