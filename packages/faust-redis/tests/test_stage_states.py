"""The state of a stage follows from its trend."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, repeat

from faust_redis.watching import Judge, Moment, StageState


def follow(
    came: Iterable[int],
    done: Iterable[int],
    *,
    read: bool = True,
    alive: bool = True,
    patience: float = 0.0,
    waits: Iterable[float | None] = repeat(None),
    waits_long: Iterable[bool] = repeat(False),
    judge: Judge | None = None,
) -> StageState:
    """Return the state after looks a second apart; `came` and `done` are the totals at each."""
    judge = judge or Judge()
    state = judge.state
    for second, (added, finished, wait, long) in enumerate(zip(came, done, waits, waits_long, strict=False)):
        left = added - finished
        moment = Moment(float(second), left, 0 if read else left, wait, (finished,), added, long)
        state = judge.classify(moment, alive=alive, patience=patience)
    return state


def test_without_a_worker_it_is_stopped_whatever_waits() -> None:
    assert follow([0], [0], alive=False) is StageState.STOPPED
    assert follow(range(100, 130), range(30), alive=False) is StageState.STOPPED


def test_with_nothing_to_do_it_is_idle() -> None:
    assert follow([0] * 30, [0] * 30) is StageState.IDLE
    assert follow([7] * 30, [7] * 30) is StageState.IDLE


def test_it_works_while_messages_come_and_go_even_if_none_is_left_at_any_look() -> None:
    assert follow(range(30), range(30)) is StageState.WORKING


def test_a_steady_backlog_is_work_not_slowness() -> None:
    assert follow(range(5000, 5300, 10), range(0, 300, 10)) is StageState.WORKING


def test_work_without_any_movement_is_stalled_after_a_window_not_before() -> None:
    assert follow([3] * 10, [0] * 10) is StageState.WORKING
    assert follow([3] * 12, [0] * 12) is StageState.STALLED


def test_new_messages_are_no_movement() -> None:
    assert follow(range(1, 31), [0] * 30) is StageState.STALLED


def test_work_that_takes_long_as_a_rule_is_not_stalled_while_it_takes_that_long() -> None:
    assert follow([1] * 40, [0] * 40, patience=60.0) is StageState.WORKING
    assert follow([1] * 70, [0] * 70, patience=60.0) is StageState.STALLED


def test_it_is_slow_when_more_comes_than_is_done_and_moves_all_the_same() -> None:
    assert follow(range(10, 410, 20), range(0, 200, 10), read=False) is StageState.SLOW


def test_what_a_worker_has_read_and_not_begun_makes_it_slow_by_the_time_it_waits() -> None:
    came, done = range(10, 410, 20), range(0, 200, 10)
    assert follow(came, done, waits=[second / 10 for second in range(20)]) is StageState.SLOW
    assert follow(came, done, waits=repeat(0.01)) is StageState.WORKING


def test_slow_is_not_stalled_and_ends_when_the_backlog_shrinks() -> None:
    came = list(accumulate([20] * 20 + [5] * 40))
    done = list(accumulate([10] * 60))
    assert follow(came[:20], done[:20], read=False) is StageState.SLOW
    assert follow(came[:45], done[:45], read=False) is StageState.WORKING


def test_a_stage_that_was_empty_within_the_window_is_not_slow() -> None:
    came = [0] * 6 + list(range(20, 120, 20))
    done = [0] * 6 + list(range(10, 60, 10))
    assert follow(came, done, read=False) is StageState.WORKING


def test_a_steady_backlog_in_which_messages_wait_long_is_slow_until_they_do_not() -> None:
    """Sessions have one open turn each: the backlog of a stage that is too slow need not grow."""
    came, done = range(60, 360, 5), range(0, 300, 5)
    assert follow(came, done, waits=repeat(12.0), waits_long=[True] * 8) is StageState.WORKING
    assert follow(came, done, waits=repeat(12.0), waits_long=[True] * 20) is StageState.SLOW
    assert follow(came, done, waits=repeat(0.1), waits_long=[True] * 20 + [False] * 12) is StageState.WORKING
