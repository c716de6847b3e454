"""Compare two services, or two versions of one, by repeated runs: pure statistics.

Runs differ although nothing changed, so one pair of runs proves nothing. Here each figure is compared by the
ratio B to A over several runs. Ratios of speeds and times are products of many small influences, so their
logarithms are treated as normal (Student's t). With runs in pairs, each pair ran under the same conditions,
and the interval is that of the pairs' ratios; without pairs it is Welch's. A figure has changed only if its
whole interval lies beyond the tolerance, because an interval of 99 % leaves out the truth in one of a hundred
figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

# Two-sided quantiles of Student's t for 99 %, by degrees of freedom.
_QUANTILES: Final[Mapping[int, float]] = {
    1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250, 10: 3.169,
    12: 3.055, 15: 2.947, 20: 2.845, 30: 2.750, 60: 2.660, 120: 2.617,
}  # fmt: skip
_NORMAL_QUANTILE = 2.576

#: The figures that are compared, by their path in the JSON of a test, and whether more is better.
FIGURES: Final[Mapping[str, tuple[tuple[str, ...], bool]]] = {
    "answers per second": (("rate",), True),
    "goodput per second": (("goodput",), True),
    "latency p50": (("latency", "p50"), False),
    "latency p99": (("latency", "p99"), False),
    "first token p50": (("first_token", "p50"), False),
    "first token p99": (("first_token", "p99"), False),
    "between tokens p50": (("between_tokens", "p50"), False),
}

Change = Literal["worse", "better", "same", "unclear"]
Run = Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """One figure of A and B.

    Attributes:
        a, b: the figure of each run.
        ratio: B to A, the geometric mean.
        low, high: the interval of the ratio, at 99 %.
        change: ``worse`` or ``better`` if the whole interval lies beyond the tolerance, ``same`` if it lies
            within, else ``unclear``: more runs would decide.
    """

    name: str
    a: Sequence[float]
    b: Sequence[float]
    ratio: float
    low: float
    high: float
    change: Change


def compare(a: Sequence[Run], b: Sequence[Run], *, tolerance: float, paired: bool) -> list[Compared]:
    """Compare the figures that all runs of A and B have.

    Args:
        a, b: the JSON of tests, at least two of each.
        tolerance: the change that does not matter, as a share, such as 0.05.
        paired: whether each run of A and that of B at the same place ran under the same conditions.
    """
    found = []
    for name, (path, more_is_better) in FIGURES.items():
        ours, theirs = _values(a, path), _values(b, path)
        if len(ours) == len(a) and len(theirs) == len(b):
            middle, error, freedom = _paired(ours, theirs) if paired else _unpaired(ours, theirs)
            reach = quantile(freedom) * error
            low, high = math.exp(middle - reach), math.exp(middle + reach)
            change = _change(low, high, tolerance, more_is_better)
            found.append(Compared(name, ours, theirs, math.exp(middle), low, high, change))
    return found


def new_faults(a: Sequence[Run], b: Sequence[Run]) -> dict[str, tuple[int, int]]:
    """Return the faults of which B has more than A, by kind: the numbers of A and of B."""
    ours, theirs = _faults(a), _faults(b)
    return {kind: (ours.get(kind, 0), count) for kind, count in theirs.items() if count > ours.get(kind, 0)}


def failed_share(runs: Sequence[Run]) -> float:
    """Return the share of messages, of all runs together, that ended with an error or had no answer."""
    failed = sum(int(count) for run in runs for count in run.get("errors", {}).values())
    lost = sum(int(run.get("faults", {}).get("lost", 0)) for run in runs)
    return (failed + lost) / max(1, sum(int(run.get("sent", 0)) for run in runs))


def quantile(freedom: float) -> float:
    """Return the quantile of Student's t; between those of the table, the larger one."""
    if freedom >= max(_QUANTILES):
        return _NORMAL_QUANTILE
    below = [degrees for degrees in _QUANTILES if degrees <= freedom]
    return _QUANTILES[max(below, default=1)]


def _values(runs: Sequence[Run], path: tuple[str, ...]) -> list[float]:
    found = []
    for run in runs:
        value: Any = run
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and value > 0:
            found.append(float(value))
    return found


def _paired(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of the logarithms of the ratios, its standard error, and its degrees of freedom."""
    logarithms = [math.log(theirs / ours) for ours, theirs in zip(a, b, strict=True)]
    error = statistics.stdev(logarithms) / math.sqrt(len(logarithms))
    return statistics.fmean(logarithms), error, len(logarithms) - 1


def _unpaired(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    ours, theirs = ([math.log(value) for value in values] for values in (a, b))
    parts = [statistics.variance(values) / len(values) for values in (ours, theirs)]
    together = sum(parts)
    if not together:
        return statistics.fmean(theirs) - statistics.fmean(ours), 0.0, len(ours) + len(theirs) - 2
    freedom = together**2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ours, theirs), strict=True)
    )
    return statistics.fmean(theirs) - statistics.fmean(ours), math.sqrt(together), freedom


def _change(low: float, high: float, tolerance: float, more_is_better: bool) -> Change:
    if low > 1 + tolerance:
        return "better" if more_is_better else "worse"
    if high < 1 / (1 + tolerance):
        return "worse" if more_is_better else "better"
    return "same" if low >= 1 / (1 + tolerance) and high <= 1 + tolerance else "unclear"


def _faults(runs: Sequence[Run]) -> dict[str, int]:
    found: dict[str, int] = {}
    for run in runs:
        for place, before in (("faults", ""), ("token_faults", "tokens "), ("history_faults", "history ")):
            for kind, count in run.get(place, {}).items():
                found[before + kind] = found.get(before + kind, 0) + count
    return found
