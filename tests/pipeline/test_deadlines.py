"""Waits that are bounded in time."""

from __future__ import annotations

import asyncio

import pytest

from faust_redis.testing import eventually
from pipeline.deadlines import DeadlineExceeded, DeadlineTimer


def new_timer() -> DeadlineTimer:
    """Return a limit of the running loop."""
    return DeadlineTimer(asyncio.get_running_loop())


def soon(seconds: float) -> float:
    """Return the loop's time in so many seconds."""
    return asyncio.get_running_loop().time() + seconds


async def test_what_is_done_in_time_is_returned() -> None:
    timer = new_timer()
    assert await timer.wait(asyncio.sleep(0, "done"), soon(60)) == "done"
    timer.close()


async def test_a_wait_that_comes_to_its_limit_is_cancelled() -> None:
    timer, forever = new_timer(), asyncio.get_running_loop().create_future()
    with pytest.raises(DeadlineExceeded):
        await timer.wait(forever, soon(0.01))
    assert forever.cancelled()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_wait_has_its_own_limit_sooner_or_later_than_the_one_before() -> None:
    timer, forever = new_timer(), asyncio.get_running_loop().create_future()
    for later in (0.01, 60, 0.02):
        await timer.wait(asyncio.sleep(0), soon(later))
    begun = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded):
        await timer.wait(forever, soon(0.1))
    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_the_time_between_two_waits_does_not_count() -> None:
    timer, forever = new_timer(), asyncio.get_running_loop().create_future()
    await timer.wait(asyncio.sleep(0), soon(0.01))
    await eventually(lambda: timer._timer is None, "the first limit to be past")
    assert await timer.wait(asyncio.sleep(0, "done"), soon(60)) == "done"
    with pytest.raises(DeadlineExceeded):
        await timer.wait(forever, soon(0.01))


async def test_who_cancels_the_task_is_heard_even_when_the_limit_comes_at_the_same_moment() -> None:
    timer, forever = new_timer(), asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await timer.wait(forever, soon(60))

    task = asyncio.create_task(waits())
    await eventually(lambda: timer._waiting is task, "the task to wait")
    task.cancel()
    timer._until = timer._due
    timer._fire()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_time_out_of_what_is_waited_for_is_its_own() -> None:
    async def fails() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as raised:
        await new_timer().wait(fails(), soon(60))
    assert not isinstance(raised.value, DeadlineExceeded)


async def test_a_limit_within_a_limit_ends_only_its_own_wait() -> None:
    outer, inner = new_timer(), new_timer()

    async def patient() -> str:
        try:
            await inner.wait(asyncio.get_running_loop().create_future(), soon(0.01))
        except DeadlineExceeded:
            return "went on"
        return "never"

    assert await outer.wait(patient(), soon(60)) == "went on"
    outer.close()
