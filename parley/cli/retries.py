"""Retry a failed operation, with pauses that grow while it fails in quick succession."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["Pauses", "keep_trying"]

# The first pause is too short to notice, the longest long enough to spare the CPU.
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
# The pauses start again with the shortest after this time without a failure: a part that fails at its start
# does so sooner. One that a message kills is later, and all sessions of its stage wait for it.
_RECOVERED_SECONDS = 1.0


class Pauses:
    """The pauses between the attempts of one operation."""

    def __init__(self) -> None:
        """Begin with the first attempt."""
        self._next = _FIRST_PAUSE_SECONDS
        self._begun = time.monotonic()

    def begin(self) -> None:
        """Record that an attempt begins."""
        self._begun = time.monotonic()

    def next(self) -> float:
        """Return the seconds to wait after an attempt that has just failed."""
        if time.monotonic() - self._begun > _RECOVERED_SECONDS:
            self._next = _FIRST_PAUSE_SECONDS
        pause, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE_SECONDS)
        return pause


async def keep_trying(
    attempt: Callable[[], Awaitable[None]],
    say: Callable[[str], None],
    may_raise: Callable[[], bool],
) -> None:
    """Run a coroutine function, and run it again after each exception, until it returns.

    Args:
        attempt: the function to run; it continues where the failed attempt ended.
        say: called with one line for each failure.
        may_raise: called after a failure; True raises it.

    Raises:
        Exception: the failure of an attempt, where ``may_raise`` returned True.
    """
    pauses = Pauses()
    while True:
        pauses.begin()
        try:
            await attempt()
        except Exception as exc:
            if may_raise():
                raise
            pause = pauses.next()
            say(f"{type(exc).__name__}: {exc}; trying again in {pause:g} s")
            await asyncio.sleep(pause)
        else:
            return
