"""A circuit breaker: after a row of failures a server is left alone for a while; no I/O and no clock.

CLOSED ──failures in a row──▶ OPEN ──pause over──▶ HALF_OPEN ──the probe succeeds──▶ CLOSED
                               ▲                      │
                               └────the probe fails, a longer pause────┘
"""

from __future__ import annotations

from enum import StrEnum

# Seconds after which to ask again when another call is just trying whether the server is back.
PROBE_WAIT = 1.0


class State(StrEnum):
    """Whether calls are made."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Counts the failures of a dead server; `now` is in seconds, of any monotonic clock.

    Args:
        threshold: how many in a row open it.
        pause: seconds without a call after that; each probe that fails doubles them.
        longest_pause: up to this.

    Attributes:
        state: whether calls are made; it changes when somebody calls a method.
    """

    def __init__(self, threshold: int = 5, pause: float = 2.0, longest_pause: float = 60.0) -> None:
        self.state = State.CLOSED
        self._threshold = threshold
        self._first_pause = pause
        self._longest_pause = longest_pause
        self._pause = pause
        self._failures = 0
        self._open_until = 0.0
        self._period = 0
        self._probe: int | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until a call is welcome, 0 for now."""
        if self.state is State.CLOSED:
            return 0.0
        if self.state is State.OPEN:
            return max(0.0, self._open_until - now)
        return PROBE_WAIT if self._probe is not None else 0.0

    def begin(self) -> int:
        """Start a call for which `wait` was 0; return its period, an argument of `failed` and `ended`."""
        if self.state is not State.CLOSED:
            self.state = State.HALF_OPEN
            self._period += 1
            self._probe = self._period
        return self._period

    def succeeded(self) -> None:
        """Take note that the server works: it answered, or refused in its own words."""
        self.state = State.CLOSED
        self._failures = 0
        self._pause = self._first_pause
        self._probe = None

    def failed(self, call: int, now: float, *, at_least: float = 0.0) -> None:
        """Take note that the server seems dead.

        Args:
            at_least: seconds for which it asked to be left alone.
        """
        if self.state is State.CLOSED:
            self._failures += 1
            if self._failures >= self._threshold:
                self._open(now, at_least)
        elif call == self._probe:
            self._pause = min(2 * self._pause, self._longest_pause)
            self._open(now, at_least)
        # Else the call began before the breaker opened, so its failure is no news.

    def ended(self, call: int) -> None:
        """Take note that a call is over; a probe that was given up untold makes room for another."""
        if call == self._probe:
            self._probe = None

    def _open(self, now: float, at_least: float) -> None:
        self.state = State.OPEN
        self._failures = 0
        self._probe = None
        self._open_until = now + min(max(self._pause, at_least), self._longest_pause)
