"""Judge whether a service sustained the rate of one trial."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from parley.loadtest.bounds import judge
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan

# The share of the rate by which the number of open messages may grow. A service that answers 98 of 100
# messages keeps any bound of latency for a while, so a short trial shows only in this growth that it is
# overloaded.
_GROWTH = 0.02
# Standard errors that the growth must exceed: chance alone reaches them in one of 700 trials.
_SIGNIFICANT = 3.0
# Open messages that a trial may gain by chance, at any rate.
_FEW = 5.0
# The part of a trial in which the number of open messages still rises to its usual value.
_RISING = 1 / 3
# A generator that sends later than this is measured instead of the service.
_LATE_SECONDS = 0.05


@dataclass(frozen=True)
class Trial:
    """One trial of a rate.

    Attributes:
        rate: the messages per second asked for.
        measures: the measurements.
        reasons: why it failed, one clause each; none if the service sustained the rate.
        is_void: whether the generator was too slow to send at that rate, so that nothing is known about the
            service.
    """

    rate: float
    measures: Measures
    reasons: tuple[str, ...]
    is_void: bool

    @property
    def passed(self) -> bool:
        """Whether the service sustained the rate."""
        return not self.reasons


def judged(plan: LoadPlan, measures: Measures, bounds: Mapping[str, float | None]) -> Trial:
    """Judge a trial by its bounds; faults, lost messages, errors and a growing backlog fail it without one.

    Args:
        bounds: by name, see ``parley.loadtest.bounds``; ``max_lost`` and ``max_errors`` are 0 by default.
    """
    strict = {"max_lost": 0.0, "max_errors": 0.0}
    strict |= {name: value for name, value in bounds.items() if value is not None}
    reasons = [
        f"{verdict.name} {verdict.bound}: {verdict.measured}"
        for verdict in judge(measures, strict)
        if not verdict.kept
    ]
    growth = backlog_growth(measures, plan.duration)
    if growth > _GROWTH * plan.rate:
        reasons.append(f"open messages grew by {growth:.1f} each second")
    return Trial(plan.rate, measures, tuple(reasons), measures.late.percentile(99) > _LATE_SECONDS)


def backlog_growth(measures: Measures, duration: float) -> float:
    """Return by how many messages the backlog grew in each second of a trial; 0 if that may be chance.

    The backlog is the number of messages that were due and have not ended, at the end of each second. Its
    growth is the slope of the line of least squares through these numbers, without the first third.
    """
    backlog, open_messages = [], 0
    for at in range(int(duration)):
        if (second := measures.seconds.get(at)) is not None:
            open_messages += second.sent - second.answered - second.failed
        backlog.append(float(open_messages))
    later = backlog[math.ceil(len(backlog) * _RISING) :]
    if len(later) < 3:  # two points have no error
        return 0.0
    seconds = [float(at) for at in range(len(later))]
    slope, intercept = statistics.linear_regression(seconds, later)
    rest = [value - slope * at - intercept for at, value in zip(seconds, later, strict=True)]
    spread = sum((at - statistics.fmean(seconds)) ** 2 for at in seconds)
    error = math.sqrt(sum(each**2 for each in rest) / (len(later) - 2) / spread)
    grown = slope * len(later)
    return slope if slope > _SIGNIFICANT * error and grown > _FEW else 0.0
