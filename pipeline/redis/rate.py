"""Parse a rate such as ``5/s``; importing this loads nothing of Redis, as settings hold rates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"(\d{1,7})/([smhd])(?:\+(\d{1,7}))?")


@dataclass(frozen=True, slots=True)
class Rate:
    """A maximum number of events per period.

    Attributes:
        count: events per ``period``.
        period: the length of the period in seconds.
        burst: the number of events that may happen at once.
    """

    count: int
    period: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``5/s``, ``30/m`` or, with a burst, ``5/s+50``; ``0`` means no limit and gives None.

        The default burst is ``count``.

        Raises:
            ValueError: ``text`` is not a rate.
        """
        text = text.strip().lower()
        if text == "0":
            return None
        found = _RATE.fullmatch(text)
        if not found or not int(found[1]):
            raise ValueError(f"{text!r} is not a rate such as 5/s, 30/m or 5/s+50")
        count = int(found[1])
        return cls(count, _PERIODS[found[2]], max(1, int(found[3] or count)))

    def times(self, factor: int) -> Rate:
        """Return the rate of ``factor`` clients together."""
        return Rate(self.count * factor, self.period, self.burst * factor)
