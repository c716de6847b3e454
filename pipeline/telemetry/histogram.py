"""Count durations in buckets: cheap to add to, subtract, merge and read percentiles from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

#: The bucket bounds of OpenTelemetry's conventions for ``messaging.*`` durations, in seconds.
MESSAGING_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
#: The bucket bounds of OpenTelemetry's conventions for ``gen_ai.client.inference.duration``, in seconds.
GEN_AI_BOUNDS: Final = tuple(0.01 * 2.0**power for power in range(14))

# Each bucket is a fifth larger (by 2 to the power of a quarter) than the one before, from 0.1 ms to 14
# minutes: the error of percentiles stays below a fifth, and a histogram has a hundred numbers. The bounds
# above are among these, so that the same counts are exact for Prometheus.
_FINE = tuple(0.0001 * 2.0 ** (quarter / 4.0) for quarter in range(93))

#: Upper bounds of the buckets, in seconds; one more bucket holds longer durations.
BOUNDS: Final[tuple[float, ...]] = tuple(
    sorted({round(bound, 9) for bound in (*_FINE, *MESSAGING_BOUNDS, *GEN_AI_BOUNDS)})
)

Counts = Mapping[int, int]
"""The number of durations by bucket; empty buckets are left out."""


class Histogram:
    """Count durations since the instance was created.

    Attributes:
        total: the sum of all durations, in seconds.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration in seconds; a negative one, from differing clocks, counts as 0."""
        if seconds < 0:
            seconds = 0.0
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def counts(self) -> dict[int, int]:
        """Return the buckets that are not empty."""
        return {bucket: count for bucket, count in enumerate(self._counts) if count}


def difference(newer: Counts, older: Counts) -> dict[int, int]:
    """Return the counts added between two readings of one histogram."""
    return {bucket: more for bucket, count in newer.items() if (more := count - older.get(bucket, 0)) > 0}


def merged(parts: Iterable[Counts]) -> dict[int, int]:
    """Add up the counts of several histograms."""
    sums: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.items():
            sums[bucket] = sums.get(bucket, 0) + count
    return sums


def percentile(counts: Counts, share: float) -> float | None:
    """Return the duration in seconds that ``share`` (0…1) of all did not exceed; None without durations.

    Durations are assumed to be spread evenly within a bucket.
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
    """Return the number of durations up to each bound.

    Args:
        bounds: some of ``BOUNDS``, ascending.
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
