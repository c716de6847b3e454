"""Durations in buckets whose width grows with the duration, as in HdrHistogram, with an error below 1 %.

The package of that name has no wheels for all supported versions of Python, and only counting, merging and
percentiles are needed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Self

# Buckets per doubling of the duration; the middle of a bucket differs from its values by 0.6 % at most.
_PER_DOUBLING = 64
# The shortest duration that differs from 0, in seconds.
_UNIT = 1e-6


class LatencyHistogram:
    """Counts durations in seconds; those below a microsecond count as one."""

    def __init__(
        self, counts: Mapping[int, int] | None = None, total: float = 0.0, longest: float = 0.0
    ) -> None:
        """Take the counts by bucket, the sum of all durations, and the longest."""
        self._counts: dict[int, int] = dict(counts or {})
        self._sum = total
        self.longest = longest

    def add(self, seconds: float) -> None:
        """Count one duration."""
        bucket = _bucket(seconds)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._sum += seconds
        self.longest = max(self.longest, seconds)

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self._counts.values())

    @property
    def mean(self) -> float:
        """The mean in seconds; 0 without any duration."""
        return self._sum / self.count if self._counts else 0.0

    def percentile(self, percent: float) -> float:
        """Return the duration in seconds that ``percent`` of all do not exceed; 0 without any duration."""
        rank = math.ceil(self.count * percent / 100)
        for bucket, seen in self._running():
            if seen >= rank:
                return min(_middle(bucket), self.longest)
        return 0.0

    def within(self, seconds: float) -> int:
        """Return how many durations did not exceed this one."""
        seen = 0
        for bucket, running in self._running():
            if _middle(bucket) > seconds:
                break
            seen = running
        return seen

    def curve(self) -> list[tuple[float, float]]:
        """Return (percent, seconds) for the percentiles that a plot of the tail needs."""
        points = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0]
        return [(percent, self.percentile(percent)) for percent in points] if self._counts else []

    def corrected(self, interval: float) -> Self:
        """Return the durations together with those of messages that a closed loop did not send.

        In a closed loop a stall of two seconds is one long answer per session, however many messages the
        session would have sent in it. As in HdrHistogram, each duration adds those of the messages that would
        have followed every ``interval`` seconds: one shorter by an interval, one by two, and so on.
        """
        together = type(self)(self._counts, self._sum, self.longest)
        for bucket, count in self._counts.items():
            whole = min(_middle(bucket), self.longest)
            missing = int(whole / interval) - 1 if interval > 0 else 0
            step = 1
            while step <= missing:
                place = _bucket(whole - step * interval)
                # There may be a million steps: those that fall into one bucket are added at once.
                last = min(missing, max(step, int((whole - _start(place)) / interval)))
                together._add(place, count * (last - step + 1))
                step = last + 1
        return together

    def merge(self, others: Iterable[Self]) -> None:
        """Add the durations of others."""
        for other in others:
            for bucket, count in other._counts.items():
                self._counts[bucket] = self._counts.get(bucket, 0) + count
            self._sum += other._sum
            self.longest = max(self.longest, other.longest)

    def to_json(self) -> dict[str, object]:
        """Return the counts for ``from_json``."""
        return {"counts": self._counts, "sum": self._sum, "longest": self.longest}

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Self:
        """Read the result of ``to_json``, also after JSON has turned the buckets into text."""
        counts = found["counts"]
        assert isinstance(counts, Mapping)  # noqa: S101
        return cls(
            {int(bucket): int(count) for bucket, count in counts.items()},
            float(str(found["sum"])),
            float(str(found["longest"])),
        )

    def _add(self, bucket: int, count: int) -> None:
        self._counts[bucket] = self._counts.get(bucket, 0) + count
        self._sum += count * _middle(bucket)

    def _running(self) -> Iterable[tuple[int, int]]:
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            yield bucket, seen


def _bucket(seconds: float) -> int:
    return int(math.log2(max(seconds, _UNIT) / _UNIT) * _PER_DOUBLING)


def _start(bucket: int) -> float:
    return float(_UNIT * 2.0 ** (bucket / _PER_DOUBLING))


def _middle(bucket: int) -> float:
    return float(_UNIT * 2.0 ** ((bucket + 0.5) / _PER_DOUBLING))
