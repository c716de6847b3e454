"""Whether a history holds what was said."""

from __future__ import annotations

import pytest

from parley.loadtest.faults import Faults
from parley.loadtest.history import History, read


def read_lines(*lines: str, echo: bool = True) -> History:
    """Read a history given as `H1` (a message), `B1` (an answer that repeats its mark), or whole texts."""
    messages = []
    for place, line in enumerate(lines):
        kind, rest = line[0], line[1:]
        text = f"[s7.{rest}] word" if rest.isdigit() else rest
        messages.append({"id": f"{line}@{place}", "msg": ("Human: " if kind == "H" else "Bot: ") + text})
    return read(messages, "s7", echo=echo)


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        ("H1 B1 H2 B2", Faults()),
        ("H1 H2 B2", Faults()),  # the first ended with an error
        ("H1 B1 B1", Faults(doubled=1)),
        ("H1 B1 H1 B1", Faults(doubled=2)),
        ("H2 B2 H1 B1", Faults(misordered=1)),
        ("H1 B2 H2 B1", Faults(misordered=2)),
        ("H1 B[s8.1]", Faults(crossed=1)),
        ("H[s8.1] B[s8.1] H1 B1", Faults(crossed=2)),
        ("B1 H1 B1", Faults(crossed=1)),
        ("H1 Bhello", Faults(unattributed=1)),
        ("H1 B1 B[s8.4] H2 B2", Faults(crossed=1)),
        ("H1 H2 B2 B1 H3 B3", Faults(misordered=1)),
    ],
)
def test_what_cannot_be_in_a_history_is_a_fault(lines: str, faults: Faults) -> None:
    assert read_lines(*lines.split()).faults == faults


def test_without_an_echo_the_places_tell_whose_answers_they_are() -> None:
    history = read_lines("H1", "Bhello", "H2", "Byes", echo=False)

    assert (history.answers, history.faults) == ({1: "Bhello@1", 2: "Byes@3"}, Faults())


def test_answers_that_were_told_must_be_in_the_history_at_their_place() -> None:
    history = read_lines("H1", "B1", "H2", "B2", "H3", "B3")
    history.compare({1: "B1@1", 2: "B2@3"})
    assert history.faults == Faults()

    history.compare({1: "B2@3", 3: "another", 4: "B4@7"})
    assert history.faults == Faults(misordered=1, lost=2)


def test_the_answer_of_another_session_is_not_the_one_that_is_missing() -> None:
    history = read_lines("H1", "B[s8.1]", "H2", "B2")
    assert history.answers == {2: "B2@3"}
    history.compare({1: "another", 2: "B2@3"})
    assert history.faults == Faults(lost=1, crossed=1)
