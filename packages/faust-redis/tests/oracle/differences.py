"""Where a program is known to give something else on Redis: each has a row in docs/differences.md."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["DIFFERENCES", "Difference"]


class Difference(NamedTuple):
    """One place of a result.

    Attributes:
        on_redis: What is there on Redis.
        row: How the row of docs/differences.md begins that gives the reason.
    """

    on_redis: Any
    row: str


#: By program, and by the place in its result.
DIFFERENCES: dict[str, dict[str, Difference]] = {}
