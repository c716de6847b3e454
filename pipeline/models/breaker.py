"""Stop calling a server for a while after consecutive failures (a circuit breaker); no I/O and no clock.

CLOSED ──failures in a row──▶ OPEN ──pause over──▶ HALF_OPEN ──the probe succeeds──▶ CLOSED
                               ▲                      │
                               └────the probe fails, a longer pause────┘
"""

from __future__ import annotations

from enum import StrEnum

#: Seconds after which to ask again while a probe is under way.
PROBE_WAIT = 1.0


class State(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Count the consecutive failures of a server; ``now`` is the time of any monotonic clock, in seconds.

    Args:
        threshold: consecutive failures that open the breaker.
        pause: seconds without calls after that; each failed probe doubles them.
        longest_pause: the maximum of these seconds.

    Attributes:
        state: whether calls are allowed; it changes only within methods.
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
        """Return the seconds until the next call is allowed, 0 for now."""
        if self.state is State.CLOSED:
            return 0.0
        if self.state is State.OPEN:
            return max(0.0, self._open_until - now)
        return PROBE_WAIT if self._probe is not None else 0.0

    def begin(self) -> int:
        """Start a call after ``wait`` returned 0; return its period, for ``failed`` and ``ended``."""
        if self.state is not State.CLOSED:
            self.state = State.HALF_OPEN
            self._period += 1
            self._probe = self._period
        return self._period

    def succeeded(self) -> None:
        """Record that the server works: it answered or gave a reason for a refusal."""
        self.state = State.CLOSED
        self._failures = 0
        self._pause = self._first_pause
        self._probe = None

    def failed(self, call: int, now: float, *, at_least: float = 0.0) -> None:
        """Record that the server seems dead.

        Args:
            at_least: the seconds that the server asked to wait.
        """
        if self.state is State.CLOSED:
            self._failures += 1
            if self._failures >= self._threshold:
                self._open(now, at_least)
        elif call == self._probe:
            self._pause = min(2 * self._pause, self._longest_pause)
            self._open(now, at_least)
        # Otherwise the call began before the breaker opened, so its failure is already counted.

    def ended(self, call: int) -> None:
        """Record the end of a call; a probe without a result makes room for another probe."""
        if call == self._probe:
            self._probe = None

    def _open(self, now: float, at_least: float) -> None:
        self.state = State.OPEN
        self._failures = 0
        self._probe = None
        self._open_until = now + min(max(self._pause, at_least), self._longest_pause)
