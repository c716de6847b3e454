"""The two sides of a join, and the kinds of joins."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

__all__ = ["JoinKind", "Pair", "Side", "pair_of"]

#: The values of the left and of the right event; ``None`` for one that did not come.
Pair = tuple[Any, Any]


class Side(IntEnum):
    """The place of an event in its pair."""

    LEFT = 0
    RIGHT = 1

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class JoinKind(Enum):
    """Which events without a partner make a result, with ``None`` in place of the partner."""

    INNER = frozenset[Side]()
    LEFT = frozenset({Side.LEFT})
    RIGHT = frozenset({Side.RIGHT})
    OUTER = frozenset({Side.LEFT, Side.RIGHT})

    def keeps(self, side: Side) -> bool:
        """Return whether an event of a side makes a result without a partner."""
        return side in self.value


def pair_of(side: Side, value: Any, other: Any) -> Pair:
    """Return a pair of a value of a side, and one of the other side."""
    return (value, other) if side is Side.LEFT else (other, value)
