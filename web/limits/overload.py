"""Refuse new messages early while the stages can't keep up, so that accepted ones are answered soon.

As long as messages wait for longer than the target, and have done so for ``STANDING_SECONDS``, the number of
sessions that await an answer is limited. The limit is the number that the stages can serve, and those that
can wait for the target at the measured rate: a concurrency limit by Little's law, like Netflix's
``concurrency-limits`` ("Performance Under Load", 2018), which begins with a standing queue, like CoDel
(RFC 8289). Every web process computes it from the same samples of the stages, for its own share of the
sessions. No I/O.
"""

from __future__ import annotations

import math
from typing import Final

from pipeline.telemetry.stages.queueing import QueueState

#: Seconds for which messages must wait for too long before one is refused. Shorter: bursts are refused that
#: the stages would soon have answered. Longer: more messages have waited for too long by then.
STANDING_SECONDS: Final = 1.0
#: Seconds without a refusal after which the limit is lifted.
QUIET_SECONDS: Final = 2.0
#: Seconds without a sample after which the limit is lifted, because Redis is unavailable.
STALE_SECONDS: Final = 2.0
#: The factor by which addresses with few sessions may exceed the limit, when one with many has used it up.
LIGHT_FACTOR: Final = 1.25
#: The share of all sessions that is divided equally between the web processes; the rest is divided by use.
EQUAL_SHARE: Final = 0.5


class OverloadLimit:
    """Limit the sessions that await an answer, of one web process.

    Attributes:
        limit: the number of sessions; None while messages are accepted without a limit.
        delay: the seconds that the last message would have waited, by the last sample.
    """

    def __init__(self, target_seconds: float) -> None:
        """Store the seconds for which messages may wait; 0 for no limit."""
        self.limit: float | None = None
        self.delay = 0.0
        self._target = target_seconds
        self._standing_since: float | None = None
        self._refused_at = self._updated_at = 0.0

    def update(self, now: float, state: QueueState, active: int) -> None:
        """Take a sample.

        Args:
            now: the time of a monotonic clock, in seconds.
            active: the sessions of this process that await an answer.
        """
        self._updated_at = now
        if not self._target or state.is_stalled:
            return
        self.delay = state.delay
        room = state.may_wait(self._target)
        if state.waiting <= room:
            self._standing_since = None
        elif self._standing_since is None:
            self._standing_since = now
        is_standing = self._standing_since is not None and now - self._standing_since >= STANDING_SECONDS
        if is_standing and self.limit is None:
            self._refused_at = now
        if is_standing or self.limit is not None:
            total, allowed = state.waiting + state.served, state.served + room
            share = active * allowed / total if total else math.inf
            self.limit = max(share, EQUAL_SHARE * allowed / state.nodes, 1.0)
        self.expire(now)

    def expire(self, now: float) -> None:
        """Lift the limit if it has refused nothing for a while, or if samples are missing."""
        is_quiet = self._standing_since is None and now - self._refused_at >= QUIET_SECONDS
        if is_quiet or now - self._updated_at >= STALE_SECONDS:
            self.limit = self._standing_since = None

    def refuses(self, now: float, active: int, of_session: int, of_address: int, addresses: int) -> bool:
        """Return whether to refuse a message.

        A session that awaits an answer is refused before others, and an address with more than its share of
        the sessions before those with fewer.

        Args:
            active: the sessions of this process that await an answer.
            of_session: the unanswered messages of the session of this one.
            of_address: those sessions that belong to its address.
            addresses: the addresses with such sessions.
        """
        if self.limit is None:
            return False
        is_light = of_address < self.limit / (addresses + 1)
        limit = self.limit * LIGHT_FACTOR if is_light and addresses > 1 else self.limit
        if not of_session and active < limit:
            return False
        self._refused_at = now
        return True

    @property
    def retry_after(self) -> int:
        """Return whole seconds after which a retry may succeed: when those that wait now have been served."""
        return min(60, max(1, math.ceil(self.delay)))
