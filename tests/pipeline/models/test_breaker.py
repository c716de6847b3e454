"""The circuit breaker, with a clock that the tests turn."""

from __future__ import annotations

from pipeline.models.breaker import PROBE_WAIT, Breaker, State


def opened(at: float = 100.0) -> Breaker:
    """Return a breaker that three failures have just opened, for 2 s."""
    breaker = Breaker(threshold=3, pause=2.0, longest_pause=5.0)
    for _ in range(3):
        breaker.failed(breaker.begin(), at)
    return breaker


def test_it_stays_closed_below_the_threshold() -> None:
    breaker = Breaker(threshold=3)
    for _ in range(2):
        breaker.failed(breaker.begin(), 0.0)
    assert (breaker.state, breaker.wait(0.0)) == (State.CLOSED, 0.0)


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker(threshold=2)
    breaker.failed(breaker.begin(), 0.0)
    breaker.succeeded()
    breaker.failed(breaker.begin(), 0.0)
    assert breaker.state is State.CLOSED


def test_failures_in_a_row_open_it_and_it_tells_for_how_long() -> None:
    breaker = opened(at=100.0)
    assert breaker.state is State.OPEN
    assert (breaker.wait(100.0), breaker.wait(101.5), breaker.wait(102.0)) == (2.0, 0.5, 0.0)


def test_one_call_probes_while_the_others_wait() -> None:
    breaker = opened(at=100.0)
    breaker.begin()
    assert (breaker.state, breaker.wait(103.0)) == (State.HALF_OPEN, PROBE_WAIT)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened(at=100.0)
    breaker.begin()
    breaker.succeeded()
    assert (breaker.state, breaker.wait(103.0)) == (State.CLOSED, 0.0)


def test_each_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now, waits = opened(at=100.0), 100.0, []
    for _ in range(3):
        now += breaker.wait(now)
        breaker.failed(breaker.begin(), now)
        waits.append(breaker.wait(now))
    assert waits == [4.0, 5.0, 5.0]


def test_after_a_success_the_pause_is_short_again() -> None:
    breaker = opened(at=100.0)
    breaker.failed(breaker.begin(), 102.0)
    breaker.begin()
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(breaker.begin(), 200.0)
    assert breaker.wait(200.0) == 2.0


def test_a_probe_that_was_given_up_lets_another_try() -> None:
    breaker = opened(at=100.0)
    breaker.ended(breaker.begin())
    assert (breaker.state, breaker.wait(102.0)) == (State.HALF_OPEN, 0.0)


def test_calls_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker(threshold=1, pause=2.0)
    late = breaker.begin()
    breaker.failed(breaker.begin(), 100.0)
    breaker.failed(late, 101.0)
    assert breaker.wait(101.0) == 1.0
    probe = breaker.begin()
    breaker.failed(late, 102.0)
    breaker.ended(late)
    assert breaker.wait(102.0) == PROBE_WAIT
    breaker.failed(probe, 102.0)
    assert breaker.wait(102.0) == 4.0


def test_the_server_may_ask_for_a_longer_pause() -> None:
    breaker = Breaker(threshold=1, pause=2.0, longest_pause=60.0)
    breaker.failed(breaker.begin(), 100.0, at_least=20.0)
    assert breaker.wait(100.0) == 20.0
