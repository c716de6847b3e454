"""The search for the highest rate that a service sustains."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from parley.loadtest.search import RateSearch


def run(search: RateSearch, passes: Callable[[float], bool]) -> list[float]:
    """Run a search to its end, and return the rates that it tried."""
    tried: list[float] = []
    while (rate := search.next_rate()) is not None:
        tried.append(rate)
        search.record(rate, passed=passes(rate))
        assert len(tried) < 60
    return tried


@pytest.mark.parametrize("capacity", [1.3, 7.0, 83.0, 999.0, 12_345.0])
def test_the_sustained_rate_is_within_the_precision_of_the_capacity(capacity: float) -> None:
    search = RateSearch(10.0, 0.05)
    run(search, lambda rate: rate <= capacity)

    assert capacity / 1.06 <= search.sustained <= capacity < search.failing


def test_a_capacity_near_a_noisy_limit_is_found_within_a_tenth() -> None:
    chance = random.Random(1)
    for _ in range(200):
        search = RateSearch(10.0, 0.05)
        # A trial measures the capacity with an error of 3 %.
        run(search, lambda rate: rate <= 100 * chance.gauss(1, 0.03))
        assert 90 <= search.sustained <= 110


def test_one_trial_that_fails_by_chance_does_not_end_the_climb() -> None:
    verdicts = iter([True, False, True, True])
    search = RateSearch(10.0)
    run(search, lambda rate: next(verdicts, rate <= 100))

    assert 94 <= search.sustained <= 100


def test_one_trial_that_passes_by_chance_is_not_the_result() -> None:
    tried: list[float] = []

    def passes(rate: float) -> bool:
        tried.append(rate)
        return rate <= 30 or (rate == 40 and tried.count(40) == 1)

    search = RateSearch(10.0)
    run(search, passes)

    assert 28 <= search.sustained <= 30
    assert search.trials[search.sustained].passed == 2


def test_a_service_that_keeps_no_rate_ends_the_search() -> None:
    search = RateSearch(10.0, slowest=2.0)
    tried = run(search, lambda _: False)

    assert (search.sustained, search.failing) == (0.0, 2.5)
    assert tried == [10.0, 10.0, 5.0, 5.0, 2.5, 2.5]


def test_before_the_first_failure_there_is_no_failing_rate() -> None:
    assert RateSearch(10.0).failing == math.inf
