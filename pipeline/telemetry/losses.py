"""The losses of Redis that a process has noticed: in a failover, or in the restore of a snapshot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

#: Losses that a process remembers; older ones are in the recorded history.
REMEMBERED: Final = 10
#: Seconds within which counts that grow belong to one loss: connections are lost one after the other.
ONE_LOSS_SECONDS: Final = 30.0


class LossCounts(NamedTuple):
    """The counts of a process since its start.

    Attributes:
        lost: messages that Redis had confirmed to it and lost.
        resent: messages that it has sent again.
        restored: answers that it has written back into their sessions.
    """

    lost: int = 0
    resent: int = 0
    restored: int = 0


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss; the counts as in ``LossCounts``, and the Unix time when it was noticed."""

    at: float
    lost: int
    resent: int
    restored: int


class LossLog:
    """Turn the growth of the counts into losses."""

    def __init__(self, read: Callable[[], LossCounts]) -> None:
        """Store the function that returns the counts now."""
        self._read = read
        self._before = LossCounts()
        self._losses: deque[Loss] = deque(maxlen=REMEMBERED)
        self._grew_at = float("-inf")

    def take(self, now: float) -> list[Loss]:
        """Return the losses so far, the latest last; ``now`` in seconds since the epoch."""
        counts = self._read()
        grown = [after - before for after, before in zip(counts, self._before, strict=True)]
        self._before = counts
        if any(grown):
            if self._losses and now - self._grew_at < ONE_LOSS_SECONDS:
                last = self._losses.pop()
                sums = [last.lost + grown[0], last.resent + grown[1], last.restored + grown[2]]
                self._losses.append(Loss(last.at, *sums))
            else:
                self._losses.append(Loss(now, *grown))
            self._grew_at = now
        return list(self._losses)
