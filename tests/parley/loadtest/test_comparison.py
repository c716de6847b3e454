"""The comparison of two services by repeated runs."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from parley.loadtest.comparison import compare, quantile
from parley.loadtest.comparison_report import Comparison, page, to_json


def runs(count: int, *, factor: float = 1.0, noise: float = 0.03, seed: int = 1) -> list[dict[str, Any]]:
    """Return runs of a service whose answers take ``factor`` times as long."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        load = chance.gauss(1, noise)
        found.append(
            {
                "rate": 100 / factor / load,
                "sent": 1000,
                "latency": {"p50": 0.05 * factor * load, "p99": 0.2 * factor * chance.gauss(1, 3 * noise)},
                "first_token": {"p50": 0.0, "p99": 0.0},
                "faults": {"lost": 0, "doubled": 0},
                "errors": {},
            }
        )
    return found


def comparison(a: list[dict[str, Any]], b: list[dict[str, Any]], *, paired: bool = True) -> Comparison:
    return Comparison(("one", "other"), a, b, paired, 0.05, datetime(2026, 11, 28, tzinfo=UTC))


@pytest.mark.parametrize("paired", [True, False])
def test_a_service_that_is_a_fifth_slower_is_worse(paired: bool) -> None:
    for seed in range(50):
        found = comparison(runs(8, seed=seed), runs(8, factor=1.2, seed=seed + 1000), paired=paired)

        assert found.status == 3
        assert "worse in answers per second (-" in found.conclusion
        assert "latency p50 (+" in found.conclusion


@pytest.mark.parametrize("paired", [True, False])
def test_identical_services_give_no_alarm(paired: bool) -> None:
    alarms = [
        seed
        for seed in range(300)
        if comparison(runs(8, seed=seed), runs(8, seed=seed + 1000), paired=paired).status
    ]

    assert alarms == []


def test_a_faster_service_is_better_and_no_alarm() -> None:
    found = comparison(runs(8), runs(8, factor=0.7, seed=2))

    assert found.status == 0
    assert found.conclusion.startswith("B is better in ")


def test_a_figure_that_a_service_lacks_is_left_out() -> None:
    names = [each.name for each in comparison(runs(3), runs(3, seed=2)).figures]

    assert names == ["answers per second", "latency p50", "latency p99"]


def test_runs_that_drift_together_are_compared_by_pairs() -> None:
    drift = [1.0, 1.5, 2.0, 2.5]
    a = [{"rate": 100 * each, "sent": 1} for each in drift]
    b = [{"rate": 80 * each, "sent": 1} for each in drift]

    assert compare(a, b, tolerance=0.05, paired=True)[0].change == "worse"
    assert compare(a, b, tolerance=0.05, paired=False)[0].change == "unclear"


def test_a_new_fault_of_b_is_named_and_has_a_status_of_its_own() -> None:
    b = runs(3, seed=2)
    b[1]["faults"]["doubled"] = 2
    found = comparison(runs(3), b)

    assert found.status == 5
    assert found.conclusion == "B has faults that A has not: doubled 0 -> 2."


def test_more_failed_messages_are_worse_although_the_others_are_as_fast() -> None:
    b = runs(3, seed=2)
    b[0]["errors"]["busy"] = 90
    found = comparison(runs(3), b)

    assert found.status == 3
    assert found.conclusion == "More messages of B fail: 0.0% -> 3.0%."


def test_without_an_answer_nothing_is_compared() -> None:
    nothing = [{"rate": 0.0, "sent": 5, "latency": {}}] * 2

    assert comparison(nothing, nothing).status == 4


@pytest.mark.parametrize(("freedom", "expected"), [(1, 63.657), (4.9, 4.604), (11, 3.169), (500, 2.576)])
def test_the_quantile_errs_on_the_side_of_a_wider_interval(freedom: float, expected: float) -> None:
    assert quantile(freedom) == expected


def test_the_page_draws_both_services_and_the_json_holds_their_runs() -> None:
    found = comparison(runs(3), runs(3, seed=2))

    assert page(found).count("<svg viewBox") == len(found.figures)
    services = to_json(found)["services"]
    assert [len(services[side]["runs"]) for side in "ab"] == [3, 3]
