"""The model server of load tests: it must cost next to nothing."""

from __future__ import annotations

import asyncio

import uvloop

from parley.loadtest.model import Timers


class Counting(Timers):
    """Counts how often the one timer is set."""

    times_set = 0

    def _set(self) -> None:
        self.times_set += 1
        super()._set()


async def _calls_in_turn(moments: int) -> tuple[int, list[float]]:
    loop, timers, early = asyncio.get_running_loop(), Counting(), []
    done = loop.create_future()
    begun = loop.time()

    def step(number: int = 1) -> None:
        early.append(begun + number * 0.0034 - loop.time())
        if number == moments:
            done.set_result(None)
        else:
            timers.at(begun + (number + 1) * 0.0034, lambda: step(number + 1))

    timers.at(begun + 0.0034, step)
    await done
    return timers.times_set, early


def test_a_timer_is_set_once_for_a_moment_between_two_milliseconds() -> None:
    times_set, early = uvloop.run(_calls_in_turn(30))
    # On a busy machine a moment may have passed already: no timer is set for that one.
    assert 0 < times_set <= 30
    assert max(early) <= 1e-9
