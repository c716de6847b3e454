from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from pipeline.chat.reading_pace import (
    FIRST_READS,
    LONGEST_SECONDS,
    SECONDS_PER_ANSWER,
    PacedAnswer,
    ReadingPace,
)

MANY = 100


class Loop:
    """A loop whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def call_later(self, delay: float, call: Callable[..., object], *args: Any) -> None:
        self._due.append((self.now + delay, lambda: call(*args)))

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward, and make the calls that are due."""
        self.now += seconds
        due = [call for moment, call in self._due if moment <= self.now]
        self._due = [each for each in self._due if each[0] > self.now]
        for call in due:
            call()


def begun(pace: ReadingPace, loop: Loop, answers: int) -> list[PacedAnswer]:
    return [pace.begin(cast("asyncio.AbstractEventLoop", loop)) for _ in range(answers)]


def streaming(pace: ReadingPace, loop: Loop, answers: int) -> list[PacedAnswer]:
    """Return answers that have been read for a while, each piece as it came."""
    all_ = begun(pace, loop, answers)
    for _ in range(FIRST_READS):
        for answer in all_:
            assert answer.rest() is None
        loop.pass_time(0.02)
    return all_


async def test_few_answers_are_read_as_their_pieces_come() -> None:
    pace, loop = ReadingPace(), Loop()
    (answer,) = streaming(pace, loop, 1)
    assert answer.rest() is None


async def test_many_answers_are_read_at_the_same_moments() -> None:
    pace, loop = ReadingPace(), Loop()
    first, second, *_ = streaming(pace, loop, MANY)
    one = first.rest()
    loop.pass_time(0.01)
    other = second.rest()
    assert one is not None
    assert other is not None
    loop.pass_time(MANY * SECONDS_PER_ANSWER - 0.02)
    assert not one.done()
    loop.pass_time(0.01)
    assert one.done()
    assert other.done()


async def test_the_first_words_of_an_answer_are_not_delayed() -> None:
    pace, loop = ReadingPace(), Loop()
    streaming(pace, loop, MANY)
    (fresh,) = begun(pace, loop, 1)
    for _ in range(FIRST_READS):
        assert fresh.rest() is None
        loop.pass_time(0.02)


async def test_an_answer_joins_the_common_moments_after_its_first_reads() -> None:
    pace, loop = ReadingPace(), Loop()
    streaming(pace, loop, MANY)
    (fresh,) = begun(pace, loop, 1)
    for _ in range(FIRST_READS):
        fresh.rest()
        loop.pass_time(0.02)
    assert fresh.rest() is not None


async def test_an_answer_in_pieces_far_apart_is_not_delayed() -> None:
    pace, loop = ReadingPace(), Loop()
    slow, *_ = streaming(pace, loop, MANY)
    for _ in range(3):
        loop.pass_time(2 * LONGEST_SECONDS)
        assert slow.rest() is None


async def test_an_answer_rests_again_when_its_next_piece_was_there_at_once() -> None:
    pace, loop = ReadingPace(), Loop()
    answer, *_ = streaming(pace, loop, MANY)
    for _ in range(3):
        moment = answer.rest()
        assert moment is not None
        loop.pass_time(LONGEST_SECONDS)
        assert moment.done()


async def test_the_moments_are_never_farther_apart_than_a_tenth_of_a_second() -> None:
    pace, loop = ReadingPace(), Loop()
    begun(pace, loop, 10_000)
    assert pace.seconds == pytest.approx(0.1)


async def test_answers_that_have_ended_slow_no_other_down() -> None:
    pace, loop = ReadingPace(), Loop()
    answer, *others = streaming(pace, loop, MANY)
    for each in others:
        each.end()
    assert answer.rest() is None


async def test_a_cancelled_rest_leaves_the_others_alone() -> None:
    pace, loop = ReadingPace(), Loop()
    stopped, other, *_ = streaming(pace, loop, MANY)
    one, two = stopped.rest(), other.rest()
    assert one is not None
    assert two is not None
    one.cancel()
    loop.pass_time(LONGEST_SECONDS)
    assert two.done()
