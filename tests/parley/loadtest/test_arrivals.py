"""When messages are due in an open loop."""

from __future__ import annotations

from itertools import islice, pairwise, takewhile

import pytest

from parley.loadtest.arrivals import arrivals


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(islice(arrivals(rate=4, ramp=0, poisson=False, seed=0), 5)) == [0, 0.25, 0.5, 0.75, 1.0]


def test_a_ramp_grows_to_the_rate_and_stays_there() -> None:
    dues = list(takewhile(lambda due: due < 20, arrivals(rate=100, ramp=10, poisson=False, seed=0)))

    assert sum(due < 5 for due in dues) == pytest.approx(125, abs=2)
    assert sum(due < 10 for due in dues) == pytest.approx(500, abs=2)
    assert sum(10 <= due < 20 for due in dues) == pytest.approx(1000, abs=2)


def test_poisson_arrivals_have_the_rate_and_no_pattern() -> None:
    dues = list(takewhile(lambda due: due < 100, arrivals(rate=50, ramp=0, poisson=True, seed=7)))
    gaps = [after - before for before, after in pairwise(dues)]

    assert len(dues) == pytest.approx(5000, rel=0.06)
    # Of an exponential distribution the standard deviation is the mean.
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.06)


def test_a_seed_repeats_them() -> None:
    first, second = (list(islice(arrivals(rate=5, ramp=1, poisson=True, seed=3), 50)) for _ in range(2))
    assert first == second
