"""The report of a load test."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from parley.loadtest.bounds import judge
from parley.loadtest.faults import Faults
from parley.loadtest.idle import Idle
from parley.loadtest.measures import Measures, Second
from parley.loadtest.model import Pace
from parley.loadtest.outcome import LoadOutcome
from parley.loadtest.page import page
from parley.loadtest.plan import LoadPlan
from parley.loadtest.report import progress, show, to_json
from parley.loadtest.samples import Spell
from parley.loadtest.usage import ProcessUsage

PLAN = LoadPlan("http://127.0.0.1:1", sessions=3, echo=True)


def outcome(measures: Measures, plan: LoadPlan = PLAN, **bounds: float) -> LoadOutcome:
    finished = datetime(2026, 11, 23, tzinfo=UTC)
    return LoadOutcome(plan, measures, judge(measures, bounds), "a service", finished)


def shown(of: LoadOutcome) -> str:
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
        assert "the texts of answers were not checked" in text
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
    words = "the test was cut short after 3.0 s of 10 s; 4 messages had no answer by then"

    assert words in shown(outcome(measures))
    assert words in page(outcome(measures))


def test_what_the_service_used_is_told_by_process_and_together() -> None:
    kinds = {"web": ProcessUsage(2, 3.0, 80 * 2**20), "Redis": ProcessUsage(1, 1.0, 20 * 2**20)}
    measures = Measures(sent=1000, answered=1000, elapsed=10.0)
    found = replace(outcome(measures), spells=[Spell(10.0, 10.0, kinds, 5.0)])

    lines = [line.split() for line in shown(found).splitlines()]
    assert ["web", "2", "0.30", "3,000", "µs", "80", "MiB"] in lines
    assert ["all", "3", "0.40", "4,000", "µs", "100", "MiB"] in lines
    assert '<th scope="row">all</th><td>3</td><td>0.40</td>' in page(found)
    assert to_json(found)["used"]["Redis"] == {"processes": 1, "cpu": 1.0, "memory": 20 * 2**20}
    assert "Resources by process" not in page(outcome(Measures()))


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


def test_a_second_in_which_nothing_happened_is_drawn_as_nothing() -> None:
    measures = Measures(sent=2, answered=2, elapsed=5.0)
    for at in (0, 4):
        measures.seconds[at] = Second(sent=1, answered=1)

    assert [(at, each.answered) for at, each in measures.timeline()] == [
        (0, 1),
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 1),
    ]
    assert "answered from 0 to 1" in page(outcome(measures))
    assert [each["answered"] for each in to_json(outcome(measures))["seconds"]] == [1, 0, 0, 0, 1]


def test_a_long_test_is_drawn_with_a_few_hundred_points_and_its_longest_answer() -> None:
    measures = Measures(sent=7200, answered=7200, elapsed=7200.0)
    for at in range(7200):
        measures.seconds[at] = Second(sent=1, answered=1)
        measures.seconds[at].latency.add(9.0 if at == 4321 else 0.05)

    text = page(outcome(measures))
    assert "longest from 50.0 ms to 9.00 s" in text
    assert len(text) < 150_000


def test_the_status_tells_a_broken_bound_from_what_must_never_happen() -> None:
    fine, lost, crossed = (Measures(sent=9, answered=9, elapsed=1.0) for _ in range(3))
    lost.faults.lost = 1
    crossed.faults = Faults(crossed=1, lost=1)

    assert outcome(fine, max_lost=0).status == 0
    assert (outcome(lost, max_lost=0).status, outcome(lost, max_lost=1).status) == (3, 0)
    assert (outcome(crossed, max_lost=0).status, outcome(crossed).status) == (5, 5)
    assert outcome(Measures(sent=9, elapsed=1.0)).status == 4
    assert outcome(Measures()).status == 4
    assert outcome(Measures(idle=Idle(asked=1, opened=1, kept=1))).status == 0


def test_lost_messages_break_a_test_without_a_bound() -> None:
    measures = Measures(sent=9, answered=8, elapsed=1.0)
    measures.faults.lost = 1

    assert outcome(measures).status == 5
    assert shown(outcome(measures)).splitlines()[-1] == "lost 0: BROKEN, measured 1"


def test_lost_messages_are_reported_with_and_without_a_bound() -> None:
    measures = Measures(sent=9, answered=8, elapsed=1.0)
    measures.faults.lost = 1

    for text in (shown(outcome(measures)), page(outcome(measures))):
        assert "1 of 9 messages had no answer within 15 s of the end" in text


def test_a_stall_that_a_closed_loop_hides_is_told_of() -> None:
    measures = Measures(sent=1001, answered=1001, elapsed=12.0)
    for latency in [0.01] * 1000 + [2.0]:
        measures.latency.add(latency)

    for text in (shown(outcome(measures)), page(outcome(measures))):
        assert "with the messages held back p99 is 1.8" in text
        assert "answer, incl. held back" in text
    opened = replace(PLAN, mode="open", rate=10.0)
    assert "held back" not in shown(outcome(measures, opened))
    assert to_json(outcome(measures))["latency_held_back"]["p99"] > 1.5


def used(*, web: float, generator: float, machine: float, seconds: float = 10.0) -> list[Spell]:
    kinds = {
        "web": ProcessUsage(1, web * seconds, 2**20),
        "generator": ProcessUsage(1, generator * seconds, 2**20),
    }
    return [Spell(seconds, seconds, kinds, machine * seconds)]


@pytest.mark.parametrize(
    ("spells", "words"),
    [
        (used(web=1.5, generator=0.4, machine=2.0), "The cores: 2.00 of 2 were busy (the service 1.50,"),
        (
            used(web=0.95, generator=0.1, machine=1.1),
            "web: 1 of it used 95% of a core each, while 0.90 of 2",
        ),
        (used(web=0.2, generator=0.1, machine=2.0), "Other programs: they kept 1.70 of 2 cores busy"),
        (
            used(web=0.2, generator=0.1, machine=0.4),
            "No resource was fully used, and 1.60 of 2 cores were free",
        ),
    ],
)
def test_what_was_full_is_named(monkeypatch: pytest.MonkeyPatch, spells: list[Spell], words: str) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    measures = Measures(sent=1000, answered=1000, elapsed=10.0, cpu=1.0)
    found = replace(outcome(measures), spells=spells)

    for text in (shown(found), page(found), to_json(found)["findings"]["Bottleneck"]):
        assert words in text


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (1.75, "This machine: 1.75 of its 2 cores were busy, 0.40 of them with the generator."),
        (
            0.9,
            "No resource was fully used as far as this machine can measure (1.10 of 2 cores were free here)",
        ),
    ],
)
def test_a_full_machine_is_named_although_the_service_is_not_known(
    monkeypatch: pytest.MonkeyPatch, machine: float, words: str
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    kinds = {"generator": ProcessUsage(1, 4.0, 2**20)}
    measures = Measures(sent=1000, answered=1000, elapsed=10.0, busiest=0.4)

    found = replace(outcome(measures), spells=[Spell(10.0, 10.0, kinds, machine * 10.0)])
    assert words in shown(found)


def test_the_time_before_and_after_the_load_does_not_make_a_full_machine_look_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    measures = Measures(sent=1000, answered=1000, elapsed=10.0)
    spells = [
        *used(web=0.1, generator=0.0, machine=0.1, seconds=0.5),
        *used(web=1.5, generator=0.4, machine=2.0, seconds=1.0),
        *used(web=0.1, generator=0.0, machine=0.1, seconds=0.5),
    ]

    assert "The cores: 2.00 of 2 were busy" in shown(replace(outcome(measures), spells=spells))


def test_one_full_process_of_the_generator_is_the_limit() -> None:
    measures, idle = (Measures(sent=500, answered=500, elapsed=10.0, busiest=share) for share in (0.97, 0.1))
    measures.merge([idle])
    found = replace(
        outcome(measures, replace(PLAN, processes=2)), spells=used(web=0.2, generator=1, machine=2)
    )

    assert "The generator: one of its 2 processes used 97% of a core." in shown(found)
    assert "note: a process of the generator used 97% of a core" in shown(found)


@pytest.mark.parametrize(
    ("answered", "late", "words"),
    [
        (500, 0.0, "No limit was reached: the service kept up, with 50.0 answers per second of 50.0"),
        (300, 0.0, "The service did not keep up: 30.0 answers per second of 50.0 messages asked for"),
        (300, 1.0, "The generator: it could not send at the requested rate"),
    ],
)
def test_an_open_loop_tells_whether_the_service_kept_up(answered: int, late: float, words: str) -> None:
    measures = Measures(sent=500, answered=answered, elapsed=10.0)
    measures.late.add(late)

    assert words in shown(outcome(measures, replace(PLAN, mode="open", rate=50.0, duration=10.0)))


def test_what_a_core_is_good_for_counts_neither_the_model_nor_the_generator() -> None:
    measures = Measures(sent=1000, answered=1000, elapsed=10.0)
    found = replace(outcome(measures), spells=used(web=0.5, generator=0.5, machine=1.0))

    assert "5.00 ms of processor time, so one core makes about 200 answers per second" in shown(found)


def test_what_the_model_takes_is_told_from_what_the_service_adds() -> None:
    measures = Measures(sent=1, answered=1, elapsed=1.0)
    measures.latency.add(0.26)
    found = replace(outcome(measures), pace=Pace(0.05, 40, 200.0))

    assert "The model takes 245 ms of that" in shown(found)


def test_the_page_says_how_to_repeat_the_test_and_its_charts_have_words() -> None:
    measures = Measures(sent=4, answered=4, elapsed=2.0)
    measures.seconds = {0: Second(sent=2, answered=2), 1: Second(sent=2, answered=2)}
    found = replace(outcome(measures), command="parley load --rate 2 --url 'http://<b>'")

    text = page(found)
    assert "parley load --rate 2 --url &#x27;http://&lt;b&gt;&#x27;" in text
    assert text.count('role="img"') == text.count("<summary>The figures of this chart</summary>") == 1
    assert 'aria-label="messages per second by seconds since the load began: asked for from 2 to 2;' in text
    assert "<script" not in text
    assert to_json(found)["command"] == found.command


def test_the_document_names_every_key_of_the_json() -> None:
    document = (Path(__file__).parents[3] / "docs" / "load-testing.md").read_text("utf-8")

    assert [key for key in to_json(outcome(Measures())) if f"`{key}`" not in document] == []
