"""Durations in buckets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.loadtest.histogram import LatencyHistogram

durations = st.lists(st.floats(1e-6, 1000), min_size=1, max_size=200)


def counted(values: list[float]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(durations, st.sampled_from([0.0, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_that_of_the_durations_to_one_percent(values: list[float], percent: float) -> None:
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))

    assert counted(values).percentile(percent) == pytest.approx(ordered[int(rank) - 1], rel=0.012)


@given(durations, durations)
def test_merged_histograms_are_those_of_all_durations(first: list[float], second: list[float]) -> None:
    merged = counted(first)
    merged.merge([counted(second)])

    together = counted(first + second)
    assert merged.curve() == together.curve()
    assert (merged.count, merged.longest) == (together.count, together.longest)
    assert merged.mean == pytest.approx(together.mean)


def test_json_keeps_all_of_it() -> None:
    histogram = counted([0.001, 0.5, 2.0])
    again = LatencyHistogram.from_json(json.loads(json.dumps(histogram.to_json())))

    assert again.curve() == histogram.curve()
    assert again.mean == histogram.mean


def test_within_counts_what_was_fast_enough() -> None:
    assert counted([0.1, 0.2, 0.3, 5.0]).within(1.0) == 3


def test_an_empty_one_says_nothing() -> None:
    assert (LatencyHistogram().percentile(99), LatencyHistogram().mean, LatencyHistogram().curve()) == (
        0.0,
        0.0,
        [],
    )


@given(st.lists(st.floats(1e-3, 10), min_size=1, max_size=30), st.floats(0.01, 2))
def test_what_a_wait_held_back_is_added_message_by_message(values: list[float], interval: float) -> None:
    every = list(values)
    for value in values:
        every += [value - step * interval for step in range(1, int(value / interval))]
    corrected = counted(values).corrected(interval)

    # A duration that is a whole number of intervals may fall to either side of its bucket's middle.
    assert corrected.count == pytest.approx(len(every), rel=0.02, abs=len(values))
    assert corrected.longest == max(values)
    assert corrected.mean == pytest.approx(sum(every) / len(every), rel=0.05, abs=interval / 2)


def test_a_stall_of_a_closed_loop_shows_when_what_it_held_back_is_added() -> None:
    stalled = counted([0.01] * 1000 + [2.0])

    assert stalled.percentile(99) < 0.02
    assert stalled.corrected(0.01).percentile(99) == pytest.approx(1.88, abs=0.05)
    assert stalled.corrected(0).curve() == stalled.curve()
