"""The pieces of one answer."""

from __future__ import annotations

import pytest

from parley.loadtest.faults import TokenFaults
from parley.loadtest.pieces import Pieces


def faults_of(*pieces: tuple[int, str], whole: str = "abc") -> TokenFaults:
    faults = TokenFaults()
    answer = Pieces(faults)
    answer.begin()
    for index, text in pieces:
        answer.add(index, text)
    answer.end(whole)
    return faults


@pytest.mark.parametrize(
    ("pieces", "faults"),
    [
        ([(0, "a"), (1, "b"), (2, "c")], TokenFaults()),
        ([(0, "a"), (2, "bc")], TokenFaults(lost=1)),
        ([(1, "abc")], TokenFaults(lost=1)),
        ([(0, "a"), (0, "a"), (1, "bc")], TokenFaults(doubled=1)),
        ([(0, "a"), (2, "c"), (1, "b")], TokenFaults(misordered=1, differing=1)),
        ([(0, "a"), (1, "b")], TokenFaults(differing=1)),
        ([(0, "a"), (1, "x"), (2, "c")], TokenFaults(differing=1)),
    ],
)
def test_each_index_comes_once_in_order_and_the_texts_add_up(
    pieces: list[tuple[int, str]], faults: TokenFaults
) -> None:
    assert faults_of(*pieces) == faults


def test_a_second_start_makes_void_what_came_before_it() -> None:
    faults = TokenFaults()
    answer = Pieces(faults)
    answer.begin()
    answer.add(3, "x")
    answer.begin()
    answer.add(0, "abc")
    answer.end("abc")

    assert faults == TokenFaults()


def test_a_piece_before_the_start_has_lost_its_start() -> None:
    faults = TokenFaults()
    answer = Pieces(faults)
    answer.add(4, "abc")
    answer.end("abc")

    assert faults == TokenFaults(lost=1)


def test_an_answer_without_pieces_is_not_compared() -> None:
    faults = TokenFaults()
    Pieces(faults).end("abc")

    assert faults == TokenFaults()
