"""A failed operation is retried, first at once and then less often."""

from __future__ import annotations

import pytest

from parley.cli import retries
from parley.cli.retries import Pauses, keep_trying


class Failing:
    """Fails some times and then returns."""

    def __init__(self, failures: int) -> None:
        """Fail so many times."""
        self.left = failures

    async def __call__(self) -> None:
        """Fail, or return."""
        if self.left:
            self.left -= 1
            raise RuntimeError("can't start new thread")


async def test_each_failure_is_reported_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_FIRST_PAUSE_SECONDS", 0.001)
    said: list[str] = []

    await keep_trying(Failing(2), said.append, may_raise=lambda: False)

    assert said == [
        f"RuntimeError: can't start new thread; trying again in {pause} s" for pause in ("0.001", "0.002")
    ]


async def test_a_failure_that_may_be_raised_is_raised() -> None:
    said: list[str] = []

    with pytest.raises(RuntimeError, match="new thread"):
        await keep_trying(Failing(1), said.append, may_raise=lambda: True)
    assert said == []


def test_pauses_grow_to_a_limit_and_shrink_after_a_time_without_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("parley.cli.retries.time.monotonic", lambda: now)
    pauses = Pauses()

    pauses.begin()
    grown = [pauses.next() for _ in range(9)]
    now += 1.1

    assert grown == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert pauses.next() == 0.05
