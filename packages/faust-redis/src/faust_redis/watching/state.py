"""Classify the state of a stage or partition by its trend, never by a threshold.

    stopped    no worker
    stalled    there is work and a worker, but nothing has moved for longer than the work ever takes
    slow       work moves, but the backlog and its age grow, or messages constantly wait longer than the
               slowest work on them takes; until the backlog shrinks
    working    work moves
    paused     an operator has paused it
    idle       no work

One large figure proves little (a batch of 10,000 may be fine, a single message may be stuck), so the state
depends on the change over a window of time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Seconds of the window. A shorter one reports a hiccup as a stall, a longer one reports a stall later.
WINDOW: Final = 10.0
#: Seconds without a new message after which a stage is idle; at least the window of rates, or an idle stage
#: would show a rate.
QUIET: Final = 5.0


class StageState(StrEnum):
    """The state of a stage or partition, in order of urgency."""

    STOPPED = "stopped"
    STALLED = "stalled"
    SLOW = "slow"
    WORKING = "working"
    PAUSED = "paused"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Moment:
    """The figures of one moment that decide the state.

    Attributes:
        at: the time of any clock, in seconds.
        left: unfinished messages.
        lag: unfinished messages that no worker has read.
        wait: seconds that recent messages had waited when the work on them began, None while unknown.
        moves: a value that differs from the last moment's when work goes on.
        added: all messages ever sent to it.
        waits_long: whether recent messages had waited more than twice as long as the slowest work takes.
    """

    at: float
    left: int
    lag: int
    wait: float | None
    moves: tuple[int, ...]
    added: int
    waits_long: bool = False


class Judge:
    """Classify one stage or partition from moment to moment; no I/O.

    Attributes:
        state: the state at the last moment.
        still: seconds for which no work has moved although there is some.
    """

    def __init__(self) -> None:
        self.state = StageState.IDLE
        self.still = 0.0
        self._window: deque[Moment] = deque()
        self._moved_at = self._busy_at = float("-inf")

    def classify(self, moment: Moment, *, alive: bool, patience: float = 0.0) -> StageState:
        """Take the next moment and return the state.

        Args:
            alive: whether there is a worker.
            patience: seconds that the work usually takes; the state is not ``stalled`` before.
        """
        last = self._window[-1] if self._window else None
        if last is None or last.left == 0 or last.moves != moment.moves:
            self._moved_at = moment.at
        if last is not None and last.added != moment.added:
            self._busy_at = moment.at
        self._window.append(moment)
        while self._window[0].at < moment.at - WINDOW:
            self._window.popleft()
        self.still = moment.at - self._moved_at if moment.left else 0.0
        self.state = self._judge(moment, alive, max(WINDOW, patience))
        return self.state

    def _judge(self, now: Moment, alive: bool, patience: float) -> StageState:
        if not alive:
            return StageState.STOPPED
        if now.left == 0:
            return StageState.WORKING if now.at - self._busy_at < QUIET else StageState.IDLE
        if self.still >= patience:
            return StageState.STALLED
        if self._grows() or self._waits_long() or (self.state is StageState.SLOW and self._stays_slow(now)):
            return StageState.SLOW
        return StageState.WORKING

    def _stays_slow(self, now: Moment) -> bool:
        waits = now.lag > 0 or now.waits_long or now.wait is None
        return waits and not self._shrinks()

    def _is_full(self) -> bool:
        """Return whether the moments cover the window."""
        span = self._window[-1].at - self._window[0].at
        return span >= WINDOW * 0.8 and len(self._halves()[0]) >= 3

    def _waits_long(self) -> bool:
        """Return whether messages were left and waited long throughout the window."""
        return self._is_full() and all(moment.left and moment.waits_long for moment in self._window)

    def _halves(self) -> tuple[list[Moment], list[Moment]]:
        middle = self._window[-1].at - WINDOW / 2
        older = [moment for moment in self._window if moment.at < middle]
        return older, [moment for moment in self._window if moment.at >= middle]

    def _grows(self) -> bool:
        """Return whether backlog and age in all of the later half exceed the earlier half's maximum."""
        older, newer = self._halves()
        if not self._is_full():
            return False
        if min(moment.left for moment in older) == 0:
            return False
        if min(moment.left for moment in newer) <= max(moment.left for moment in older):
            return False
        if min(moment.lag for moment in newer) > max(moment.lag for moment in older):
            return True
        # A worker may queue entries that it has read; they do not show in the lag, only in the waiting time.
        before, after = _waits(older), _waits(newer)
        return bool(before and after) and after[-1] > max(before)

    def _shrinks(self) -> bool:
        older, newer = self._halves()
        if not older:
            return True
        return max(moment.left for moment in newer) < min(moment.left for moment in older)


def _waits(moments: Iterable[Moment]) -> list[float]:
    return [moment.wait for moment in moments if moment.wait is not None]
