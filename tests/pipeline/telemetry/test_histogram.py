"""Durations counted in buckets."""

from __future__ import annotations

import random

import pytest

from pipeline.telemetry.histogram import (
    BOUNDS,
    GEN_AI_BOUNDS,
    MESSAGING_BOUNDS,
    Histogram,
    cumulative,
    difference,
    merged,
    percentile,
)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 0.999])
def test_a_percentile_is_off_by_less_than_a_fifth(share: float) -> None:
    durations = sorted(random.Random(7).lognormvariate(-4, 2) for _ in range(10_000))
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    exact = durations[int(share * len(durations))]
    assert percentile(histogram.counts(), share) == pytest.approx(exact, rel=0.2)


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_clocks_that_differ_give_no_time_at_all_and_a_very_long_time_is_kept() -> None:
    histogram = Histogram()
    histogram.add(-3.0)
    histogram.add(1e6)
    assert percentile(histogram.counts(), 0.0) == 0.0
    assert percentile(histogram.counts(), 1.0) == BOUNDS[-1]


def test_what_was_counted_between_two_looks_is_their_difference() -> None:
    histogram = Histogram()
    histogram.add(0.010)
    before = histogram.counts()
    for _ in range(3):
        histogram.add(2.0)
    assert percentile(difference(histogram.counts(), before), 0.01) == pytest.approx(2.0, rel=0.2)
    assert sum(merged([before, difference(histogram.counts(), before)]).values()) == 4


@pytest.mark.parametrize("bounds", [MESSAGING_BOUNDS, GEN_AI_BOUNDS])
def test_counts_at_the_bounds_of_opentelemetry_are_exact(bounds: tuple[float, ...]) -> None:
    rng = random.Random(3)
    durations = [rng.uniform(0, 12) for _ in range(1000)] + list(bounds)
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    counted = cumulative(histogram.counts(), bounds)
    assert counted == [(bound, sum(d <= bound for d in durations)) for bound in bounds]
