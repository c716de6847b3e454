"""The ledger of the lab finds what is lost, doubled, misordered and crossed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviours.lab.ledger import Ledger


def answered(turn: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "turn": turn, "id": f"a-{turn}", "msg": f"You said: {text}", **more}


def kept(*texts: str) -> list[dict[str, Any]]:
    """Return the history of messages with the ids and texts of ``asked``, each with its answer."""
    messages = []
    for text in texts:
        messages.append({"id": f"m-{text}", "msg": f"Human: {text}"})
        messages.append({"id": f"a-m-{text}", "msg": f"Bot: You said: {text}"})
    return messages


def kinds(ledger: Ledger) -> list[str]:
    return [problem.partition(":")[0] for problem in ledger.problems]


def test_answers_in_order_that_the_history_holds_once_are_well(ledger: Ledger) -> None:
    ledger.take(answered("m-one", "one"))
    ledger.take(answered("m-one", "one"))  # again on a later socket
    ledger.take(answered("m-two", "two"))
    ledger.check(kept("one", "two"))

    assert (ledger.problems, ledger.repeated, ledger.answers, ledger.last) == ([], 1, 2, "a-m-two")


def test_an_answer_before_that_of_an_earlier_message_is_misordered(ledger: Ledger) -> None:
    ledger.take(answered("m-two", "two"))

    assert kinds(ledger) == ["misordered"]


def test_an_error_and_an_answer_end_a_message_twice(ledger: Ledger) -> None:
    ledger.take({"type": "error", "turn": "m-one", "code": "internal_error"})
    ledger.take(answered("m-one", "one"))

    assert kinds(ledger) == ["ended twice"]


def test_an_answer_that_the_session_has_lost_may_come_again_with_another_text(ledger: Ledger) -> None:
    again = answered("m-one", "one again")
    ledger.take(answered("m-one", "one"))
    ledger.take(again)
    assert kinds(ledger) == ["ended twice"]
    ledger.take({"type": "error", "code": "resume_failed", "detail": "", "retryable": False})
    ledger.take(again)
    assert kinds(ledger) == ["ended twice"]
    assert ledger.entries["m-one"].end == again


def test_a_frame_for_another_session_is_crossed(ledger: Ledger) -> None:
    ledger.take(answered("m-theirs", "theirs"))
    ledger.take(answered("m-one", "theirs"))

    assert kinds(ledger) == ["crossed", "crossed"]


@pytest.mark.parametrize(
    ("history", "found"),
    [
        (kept("one"), ["lost", "lost"]),  # the message, and its answer
        (kept("one", "two", "two"), ["doubled", "doubled"]),  # the text, and the ids
        (kept("two", "one"), ["misordered"]),
        (kept("one", "two", "three"), ["crossed", "unseen"]),
    ],
)
def test_a_history_that_is_not_what_the_client_saw_is_found(
    ledger: Ledger, history: list[dict[str, Any]], found: list[str]
) -> None:
    ledger.take(answered("m-one", "one"))
    ledger.take(answered("m-two", "two"))
    ledger.check(history)

    assert kinds(ledger) == found


def test_a_refused_message_may_not_be_in_the_history(ledger: Ledger) -> None:
    ledger.ask("m-three", "three")
    ledger.take({"type": "error", "id": "m-three", "code": "busy"})
    ledger.take(answered("m-one", "one"))
    ledger.take(answered("m-two", "two"))
    ledger.check(kept("one", "two"))
    assert ledger.problems == []

    ledger.check(kept("one", "two", "three"))
    assert kinds(ledger) == ["refused but kept", "unseen"]
