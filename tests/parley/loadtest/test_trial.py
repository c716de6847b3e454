"""The verdict on one rate."""

from __future__ import annotations

import random

import pytest

from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from parley.loadtest.trial import backlog_growth, judged


def queued(*, rate: float, capacity: float, duration: float, noise: float = 0.0, seed: int = 1) -> Measures:
    """Return the measurements of a service that answers one message after the other."""
    chance, measures, free = random.Random(seed), Measures(), 0.0
    for number in range(int(rate * duration)):
        due = number / rate
        free = max(due, free) + (1 - noise + noise * chance.expovariate(1)) / capacity
        measures.sent += 1
        measures.answered += 1
        measures.second(due).sent += 1
        measures.second(free).answered += 1
        measures.latency.add(free - due)
    measures.elapsed = max(duration, free)
    return measures


def plan(rate: float, duration: float = 10.0) -> LoadPlan:
    return LoadPlan("http://127.0.0.1:1", mode="open", rate=rate, duration=duration)


@pytest.mark.parametrize("overload", [1.05, 1.2, 2.0])
def test_an_overloaded_service_fails_before_its_latency_reaches_the_bound(overload: float) -> None:
    trial = judged(
        plan(100 * overload), queued(rate=100 * overload, capacity=100, duration=10), {"max_p99": 60.0}
    )

    assert not trial.passed
    assert "open messages grew by" in trial.reasons[-1]


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_a_service_below_its_capacity_passes_although_its_answers_are_random(load: float) -> None:
    failed = [
        seed
        for seed in range(50)
        if not judged(
            plan(100 * load),
            queued(rate=100 * load, capacity=100, duration=10, noise=1.0, seed=seed),
            {"max_p99": 1.0},
        ).passed
    ]

    assert len(failed) <= 2


def test_the_growth_is_counted_in_messages_per_second() -> None:
    measures = queued(rate=120, capacity=100, duration=12)

    assert backlog_growth(measures, 12) == pytest.approx(20, abs=1)


def test_faults_lost_messages_and_errors_fail_a_trial_without_a_bound() -> None:
    measures = queued(rate=10, capacity=100, duration=10)
    measures.faults.lost = 1
    measures.faults.crossed = 2
    measures.errors["busy"] = 3

    assert judged(plan(10), measures, {}).reasons == (
        "max-lost 0: 1", "max-errors 0: 3", "crossed 0: 2"
    )  # fmt: skip


def test_a_bound_on_errors_allows_as_many() -> None:
    measures = queued(rate=10, capacity=100, duration=10)
    measures.errors["busy"] = 3

    assert judged(plan(10), measures, {"max_errors": 3}).passed


def test_a_late_generator_makes_a_trial_void() -> None:
    measures = queued(rate=10, capacity=100, duration=10)
    measures.late.add(0.2)

    assert judged(plan(10), measures, {}).is_void
