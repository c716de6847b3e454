"""Durations, counted in buckets: cheap to add to, and to subtract, merge and read percentiles from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

#: What the conventions of OpenTelemetry ask of `messaging.*` durations, in seconds.
MESSAGING_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
#: The same for `gen_ai.client.operation.duration`.
GEN_AI_BOUNDS: Final = tuple(0.01 * 2.0**power for power in range(14))

# Buckets grow by a fifth (2 to the power of a quarter), from 0.1 ms to 14 minutes: percentiles are off by
# less than that, and one histogram is a hundred numbers. The bounds above are among them, so that the same
# counts serve Prometheus exactly.
_FINE = tuple(0.0001 * 2.0 ** (quarter / 4.0) for quarter in range(93))

#: Upper bounds of the buckets, in seconds; one more bucket holds what is longer.
BOUNDS: Final[tuple[float, ...]] = tuple(
    sorted({round(bound, 9) for bound in (*_FINE, *MESSAGING_BOUNDS, *GEN_AI_BOUNDS)})
)

Counts = Mapping[int, int]
"""Bucket → how many durations fell into it; empty buckets are left out."""


class Histogram:
    """Counts durations since it was made.

    Attributes:
        total: the sum of all durations, in seconds.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one (clocks differ) as none at all."""
        if seconds < 0:
            seconds = 0.0
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def counts(self) -> dict[int, int]:
        """Return the buckets that are not empty."""
        return {bucket: count for bucket, count in enumerate(self._counts) if count}


def difference(newer: Counts, older: Counts) -> dict[int, int]:
    """Return what was counted between two looks at one histogram."""
    return {bucket: more for bucket, count in newer.items() if (more := count - older.get(bucket, 0)) > 0}


def merged(parts: Iterable[Counts]) -> dict[int, int]:
    """Return the counts of several histograms as one."""
    sums: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.items():
            sums[bucket] = sums.get(bucket, 0) + count
    return sums


def percentile(counts: Counts, share: float) -> float | None:
    """Return the duration that `share` (0…1) of all did not exceed, in seconds; None when there are none.

    Within a bucket durations are taken to be spread evenly.
    """
    total = sum(counts.values())
    if not total:
        return None
    rank, seen = share * total, 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if seen + count >= rank:
            if bucket >= len(BOUNDS):
                return BOUNDS[-1]
            lower = BOUNDS[bucket - 1] if bucket else 0.0
            return lower + (BOUNDS[bucket] - lower) * max(0.0, rank - seen) / count
        seen += count
    return BOUNDS[-1]


def cumulative(counts: Counts, bounds: Iterable[float]) -> list[tuple[float, int]]:
    """Return for each of these bounds how many durations are not longer.

    Args:
        bounds: some of `BOUNDS`, ascending.
    """
    result, seen, ordered = [], 0, sorted(counts)
    at = 0
    for bound in bounds:
        last = bisect_left(BOUNDS, bound)
        while at < len(ordered) and ordered[at] <= last:
            seen += counts[ordered[at]]
            at += 1
        result.append((bound, seen))
    return result
