"""Bounds, verdicts, and spans of time as people write them."""

from __future__ import annotations

import pytest

from parley.loadtest.bounds import judge, span, span_text
from parley.loadtest.measures import Measures


def measured(*latencies: float) -> Measures:
    measures = Measures(answered=len(latencies), sent=len(latencies), elapsed=2.0)
    for latency in latencies:
        measures.latency.add(latency)
    return measures


def test_spans_are_read_and_told_as_people_say_them() -> None:
    assert [span(text) for text in ("50ms", "1.5s", "2m", "250us", "3")] == [0.05, 1.5, 120, 0.00025, 3]
    assert [span_text(seconds) for seconds in (0.00025, 0.0123, 0.25, 1.5)] == [
        "250 µs",
        "12.3 ms",
        "250 ms",
        "1.50 s",
    ]
    with pytest.raises(ValueError, match="not a span of time"):
        span("soon")


def test_a_bound_is_kept_or_broken() -> None:
    verdicts = judge(
        measured(0.1, 0.2), {"max_p99": 0.15, "max_p50": 0.15, "min_rate": 1.0, "max_lost": None}
    )

    assert {verdict.name: verdict.kept for verdict in verdicts} == {
        "max-p99": False,
        "max-p50": True,
        "min-rate": True,
    }


def test_what_must_never_be_is_judged_without_being_asked() -> None:
    measures = measured(0.1)
    assert judge(measures, {}) == []
    measures.faults.crossed = 1

    (verdict,) = judge(measures, {})
    assert (verdict.name, verdict.kept) == ("crossed", False)


def test_a_bound_on_what_was_never_measured_is_broken() -> None:
    verdicts = judge(Measures(sent=5), {"max_p99": 1.0, "max_ttft_p99": 1.0})

    assert [(verdict.kept, verdict.measured) for verdict in verdicts] == [(False, "nothing")] * 2


def test_faults_of_tokens_and_histories_are_judged_as_well() -> None:
    measures = measured(0.1)
    measures.token_faults.lost = 2
    measures.history_faults.doubled = 3

    assert [(verdict.name, verdict.measured) for verdict in judge(measures, {})] == [
        ("tokens lost", "2"),
        ("history doubled", "3"),
    ]


def test_the_last_verdicts_are_those_that_were_broken_each_with_what_was_measured() -> None:
    measures = measured(0.2)
    measures.faults.lost = 4
    verdicts = judge(measures, {"max_p99": 0.1, "max_lost": 1, "max_errors": 0})

    assert [(verdict.name, verdict.kept, verdict.measured) for verdict in verdicts] == [
        ("max-errors", True, "0"),
        ("max-p99", False, "200 ms"),
        ("max-lost", False, "4"),
    ]


def test_a_bound_allows_lost_messages_and_no_other_fault() -> None:
    measures = measured(0.1)
    measures.faults.lost, measures.faults.doubled = 2, 1

    without, allowed = judge(measures, {}), judge(measures, {"max_lost": 2})
    assert [(verdict.name, verdict.fault) for verdict in without] == [("lost", True), ("doubled", True)]
    assert [(verdict.name, verdict.kept) for verdict in allowed] == [("max-lost", True), ("doubled", False)]
