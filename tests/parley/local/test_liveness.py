"""Which processes hang: those whose signs of life stay away while this process itself runs."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from parley.local.liveness import Liveness, describe_state, used_ticks


async def is_silent(liveness: Liveness, within: float) -> bool:
    try:
        await asyncio.wait_for(liveness.until_silent(os.getpid()), within)
    except TimeoutError:
        return False
    return True


async def test_a_process_that_shows_no_sign_is_silent_after_the_time_out() -> None:
    liveness = Liveness(0.1)
    liveness.sign()
    assert await is_silent(liveness, 30)


@pytest.mark.parametrize("seconds", [0, 60])
async def test_a_process_is_not_silent_before_the_time_out(seconds: float) -> None:
    liveness = Liveness(seconds)
    liveness.begin()
    assert not await is_silent(liveness, 0.6)


async def test_time_in_which_this_process_did_not_run_does_not_count() -> None:
    liveness = Liveness(1.4)
    liveness.sign()
    silent = asyncio.create_task(liveness.until_silent(os.getpid()))
    await asyncio.sleep(0)
    time.sleep(1.7)  # noqa: ASYNC251  the event loop must not turn
    await asyncio.sleep(0.6)
    assert not silent.done()
    silent.cancel()


def test_the_state_of_a_process_is_described_in_words() -> None:
    assert describe_state(os.getpid()) == "running"
    assert describe_state(1 << 30) == "in an unknown state"
    assert used_ticks(1 << 30) == ("", 0)
