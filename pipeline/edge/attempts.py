"""Limit wrong admin tokens per address."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from pipeline.edge.addresses import shares

#: Wrong tokens allowed per address at once, and seconds after which one more is allowed.
ATTEMPTS: Final = 10
ATTEMPT_SECONDS: Final = 60.0

# Maximum addresses remembered; the one with the oldest attempt is dropped first.
_ADDRESSES: Final = 10_000


class Attempts:
    """Limit wrong admin tokens per address: ten at once, then one a minute; a wide network gets more."""

    def __init__(self) -> None:
        """Start without attempts."""
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (attempts, time of that count)

    def wait(self, address: str) -> float:
        """Return the seconds until an address may try again, 0 when it may now."""
        waits = (self._wait(group, factor) for group, factor in shares(address).items())
        return max(waits)

    def failed(self, address: str) -> None:
        """Record a wrong token."""
        for group, factor in shares(address).items():
            self._spent[group] = (self._left(group, factor) + 1, asyncio.get_running_loop().time())
            self._spent.move_to_end(group)
        while len(self._spent) > _ADDRESSES:
            self._spent.popitem(last=False)

    def _wait(self, group: str, factor: int) -> float:
        excess = self._left(group, factor) - (ATTEMPTS * factor - 1)
        return 0.0 if excess <= 0 else excess * ATTEMPT_SECONDS / factor

    def _left(self, group: str, factor: int) -> float:
        spent, then = self._spent.get(group, (0.0, 0.0))
        return max(0.0, spent - (asyncio.get_running_loop().time() - then) * factor / ATTEMPT_SECONDS)
