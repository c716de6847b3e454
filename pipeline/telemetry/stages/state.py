"""How a stage, or one of its partitions, is doing: judged by its course, never by a threshold.

    stopped    no worker
    stalled    there is work and a worker, and nothing has moved for longer than the work ever takes
    slow       things move, but more waits, and longer, than before; or all the time messages wait longer than
               the work on them takes at its slowest; until it gets less
    working    things move
    idle       nothing to do

A figure that is large says little (a batch of 10,000 may be fine, a single message may be stuck); what it
does over a window of time says it all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Seconds that are judged. Shorter: a hiccup is called a stall. Longer: a stall is told later.
WINDOW: Final = 10.0
#: Seconds without anything coming after which a stage is called idle; not shorter than rates are taken over,
#: or an idle stage would show some.
QUIET: Final = 5.0


class StageState(StrEnum):
    """How something is doing; the order is that of urgency."""

    STOPPED = "stopped"
    STALLED = "stalled"
    SLOW = "slow"
    WORKING = "working"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Moment:
    """What is judged, at one moment.

    Attributes:
        at: seconds of any clock.
        left: messages not done.
        lag: those of them that no worker has read.
        wait: how long messages of late had waited when their work began, in seconds; None if not known.
        moves: anything that differs from the last moment's when work goes on.
        added: messages that ever came.
        waits_long: messages of late had waited longer than twice what the work takes even at its slowest.
    """

    at: float
    left: int
    lag: int
    wait: float | None
    moves: tuple[int, ...]
    added: int
    waits_long: bool = False


class Judge:
    """Follows one stage or partition; no I/O.

    Attributes:
        state: as of the last moment.
        still: seconds for which nothing has moved though there is work.
    """

    def __init__(self) -> None:
        self.state = StageState.IDLE
        self.still = 0.0
        self._window: deque[Moment] = deque()
        self._moved_at = self._busy_at = float("-inf")

    def classify(self, moment: Moment, *, alive: bool, patience: float = 0.0) -> StageState:
        """Take the next moment and return the state.

        Args:
            alive: whether there is a worker for it.
            patience: seconds that the work is known to take; nothing is called stalled before.
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
        """Whether there were enough moments to judge by."""
        span = self._window[-1].at - self._window[0].at
        return span >= WINDOW * 0.8 and len(self._halves()[0]) >= 3

    def _waits_long(self) -> bool:
        """Whether all through the window something was left, and waited long."""
        return self._is_full() and all(moment.left and moment.waits_long for moment in self._window)

    def _halves(self) -> tuple[list[Moment], list[Moment]]:
        middle = self._window[-1].at - WINDOW / 2
        older = [moment for moment in self._window if moment.at < middle]
        return older, [moment for moment in self._window if moment.at >= middle]

    def _grows(self) -> bool:
        """Whether all through the later half more waited, and longer, than ever in the earlier half."""
        older, newer = self._halves()
        if not self._is_full():
            return False
        if min(moment.left for moment in older) == 0:
            return False
        if min(moment.left for moment in newer) <= max(moment.left for moment in older):
            return False
        if min(moment.lag for moment in newer) > max(moment.lag for moment in older):
            return True
        # A worker may hold entries it has read in a queue of its own: they show in how long they wait.
        before, after = _waits(older), _waits(newer)
        return bool(before and after) and after[-1] > max(before)

    def _shrinks(self) -> bool:
        older, newer = self._halves()
        if not older:
            return True
        return max(moment.left for moment in newer) < min(moment.left for moment in older)


def _waits(moments: Iterable[Moment]) -> list[float]:
    return [moment.wait for moment in moments if moment.wait is not None]
