"""What a reader is told of a test."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from pipeline.load.bounds import judge
from pipeline.load.idle import Idle
from pipeline.load.measures import Measures, Second
from pipeline.load.page import page
from pipeline.load.plan import Plan
from pipeline.load.report import Outcome, progress, show, to_json
from pipeline.load.usage import Usage

PLAN = Plan("http://127.0.0.1:1", sessions=3, echo=True)


def outcome(measures: Measures, plan: Plan = PLAN, **bounds: float) -> Outcome:
    finished = datetime(2026, 11, 23, tzinfo=UTC)
    return Outcome(plan, measures, judge(measures, bounds), "a service", finished)


def shown(of: Outcome) -> str:
    console = Console(file=io.StringIO(), width=80)
    show(of, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_last_line_names_each_bound_that_was_broken_and_what_was_measured() -> None:
    measures = Measures(sent=9, answered=5, elapsed=1.0)
    measures.faults.lost = 4
    measures.history_faults.doubled = 2

    lines = shown(outcome(measures, max_lost=1, max_errors=0)).splitlines()
    assert lines[-3:] == [
        "max-errors 0: kept, measured 0",
        "max-lost 1: BROKEN, measured 4",
        "history doubled 0: BROKEN, measured 2",
    ]


@pytest.mark.parametrize("protocol", ["streaming", "plain"])
def test_without_an_echo_the_report_says_what_was_checked_instead(protocol: str) -> None:
    plan = replace(PLAN, protocol=protocol, echo=False)  # type: ignore[arg-type]
    found = outcome(Measures(sent=1, answered=1, elapsed=1.0, histories=3), plan)

    for text in (shown(found), page(found), " ".join(to_json(found)["warnings"])):
        assert "what an answer says was not checked" in text
        assert "the history" in text
        assert "unattributed" not in text
    assert "what an answer says" not in shown(outcome(Measures()))


def test_the_memory_of_an_idle_socket_is_told_everywhere() -> None:
    idle = Idle(asked=1000, opened=1000, kept=999, before=80 * 2**20, held=80 * 2**20 + 1000 * 30 * 1024)
    found = outcome(Measures(idle=idle))

    assert "memory of the web per idle socket: 30.0 KB" in shown(found)
    assert "30.0 KB" in page(found)
    assert to_json(found)["idle"]["kb_each"] == 30.0
    assert "1 idle sockets did not stay open" in shown(found)


def test_what_was_not_measured_of_idle_sockets_is_not_told() -> None:
    idle = Idle(asked=10, opened=0, why="refused")
    found = outcome(Measures(idle=idle))

    assert to_json(found)["idle"]["kb_each"] is None
    assert "per idle socket" not in shown(found)
    assert "10 of 10 idle sockets could not be opened: refused" in shown(found)
    assert to_json(found)["errors"] == {"idle_unopened": 10}


def test_a_test_that_was_cut_short_says_so() -> None:
    measures = Measures(sent=9, answered=5, elapsed=3.0, cut_short=True, unfinished=4)
    words = "the test was cut short after 3.0 s of 10 s; for 4 messages on their way it did not wait"

    assert words in shown(outcome(measures))
    assert words in page(outcome(measures))


def test_what_the_service_used_is_told_by_process_and_together() -> None:
    used = {"web": Usage(2, 3.0, 80 * 2**20), "Redis": Usage(1, 1.0, 20 * 2**20)}
    found = replace(outcome(Measures(sent=1000, answered=1000, elapsed=10.0)), used=used, seconds=10.0)

    lines = [line.split() for line in shown(found).splitlines()]
    assert ["web", "2", "0.30", "3,000", "µs", "80", "MiB"] in lines
    assert ["all", "3", "0.40", "4,000", "µs", "100", "MiB"] in lines
    assert "<td>all</td><td>3</td><td>0.40</td>" in page(found)
    assert to_json(found)["used"]["Redis"] == {"processes": 1, "cpu": 1.0, "memory": 20 * 2**20}
    assert "What the service used" not in page(outcome(Measures()))


def test_the_rate_of_now_is_that_of_the_last_whole_second() -> None:
    measures = Measures(sent=210, answered=200, elapsed=2.1)
    measures.seconds = {0: Second(answered=90), 1: Second(answered=105), 2: Second(answered=5)}

    console = Console(file=io.StringIO(), width=80)
    console.print(progress(PLAN, measures))
    assert "105/s now" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_charts_leave_out_the_second_in_which_the_test_ended() -> None:
    measures = Measures(sent=1, answered=1, elapsed=2.1)
    measures.seconds = {0: Second(answered=100), 1: Second(answered=100)}
    whole = page(outcome(measures))

    measures.seconds[2] = Second(answered=1)
    assert page(outcome(measures)) == whole
