"""Search for the highest rate that a service sustains: pure, without clocks and sockets.

A trial of a few seconds is a sample: the same rate may pass in one and fail in the next. Therefore two of at
most three trials decide: a rate has failed when two trials of it failed, and the rate in the result has
passed two. Rates double until one fails; then the gap between the highest that passed and the lowest that
failed is halved, on a logarithmic scale, until it is as narrow as wanted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# Trials with the same verdict that decide a rate. While rates double, one that passes is enough to go on.
_DECIDING = 2


@dataclass
class Trials:
    """The trials of one rate.

    Attributes:
        passed, failed: how many met the objective, and how many did not.
    """

    passed: int = 0
    failed: int = 0

    @property
    def has_failed(self) -> bool:
        """Whether the service does not sustain this rate."""
        return self.failed >= _DECIDING

    @property
    def has_passed(self) -> bool:
        """Whether the service sustains this rate, as far as the trials show."""
        return self.passed >= _DECIDING or (self.passed > 0 and not self.failed)

    @property
    def is_confirmed(self) -> bool:
        """Whether enough trials passed."""
        return self.passed >= _DECIDING


@dataclass
class RateSearch:
    """A search: try ``next_rate`` and ``record`` the verdict, until there is no next rate.

    Attributes:
        start: the first rate, in messages per second.
        precision: the search ends when the lowest rate that failed is at most this share above the highest
            that passed.
        slowest: the lowest rate to try.
        trials: the trials of each rate so far.
    """

    start: float
    precision: float = 0.05
    slowest: float = 1.0
    trials: dict[float, Trials] = field(default_factory=dict)

    @property
    def failing(self) -> float:
        """The lowest rate that failed; infinity without one."""
        return min((rate for rate, each in self.trials.items() if each.has_failed), default=math.inf)

    @property
    def sustained(self) -> float:
        """The highest rate that passed, below all that failed; 0 without one."""
        failing = self.failing
        return max(
            (rate for rate, each in self.trials.items() if each.has_passed and rate < failing), default=0.0
        )

    def record(self, rate: float, *, passed: bool) -> None:
        """Add the verdict of one trial."""
        trials = self.trials.setdefault(rate, Trials())
        if passed:
            trials.passed += 1
        else:
            trials.failed += 1

    def next_rate(self) -> float | None:
        """Return the rate of the next trial; None if the search is over."""
        failing, sustained = self.failing, self.sustained
        undecided = [
            rate
            for rate, each in self.trials.items()
            if rate < failing and not each.has_passed and not each.has_failed
        ]
        if undecided:
            return min(undecided)
        if not self.trials:
            return self.start
        if failing == math.inf:
            return sustained * 2
        if not sustained:
            return failing / 2 if failing / 2 >= self.slowest else None
        if failing / sustained > 1 + self.precision:
            return _rounded(math.sqrt(failing * sustained))
        return None if self.trials[sustained].is_confirmed else sustained


def _rounded(rate: float) -> float:
    """Return a rate with three digits, as it is shown."""
    return float(f"{rate:.3g}")
