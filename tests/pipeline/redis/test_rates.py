"""Rates, counted in a real Redis."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from faust_redis.testing import eventually
from pipeline.redis.rate import Rate
from pipeline.redis.rates import Rates


def test_a_rate_is_written_as_people_say_it() -> None:
    assert Rate.parse("5/s") == Rate(5, 1, 5)
    assert Rate.parse(" 30/M ") == Rate(30, 60, 30)
    assert Rate.parse("5/s+50") == Rate(5, 1, 50)
    assert Rate.parse("1/d+0") == Rate(1, 86_400, 1)
    assert Rate.parse("0") is None


@pytest.mark.parametrize("text", ["", "5", "0/s", "-1/s", "5/y", "5 / s", "5/s+", "1.5/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        Rate.parse(text)


async def test_a_burst_passes_and_what_follows_is_told_how_long_to_wait(redis: Redis) -> None:
    rates, rate = Rates(redis), Rate(2, 60, 3)

    waits = [await rates.take("ada", rate) for _ in range(5)]

    assert waits[:3] == [0, 0, 0]
    assert all(29 < wait <= 30 for wait in waits[3:])


async def test_what_was_refused_does_not_count(redis: Redis) -> None:
    rates, rate = Rates(redis), Rate(20, 1, 1)
    assert await rates.take("ada", rate) == 0
    for _ in range(10):
        wait = await rates.take("ada", rate)
        assert wait <= 0.05

    async def passes() -> bool:
        return await rates.take("ada", rate) == 0

    await eventually(passes, "the next one to pass")


async def test_each_is_counted_alone_and_forgotten_when_at_rest(redis: Redis) -> None:
    rates, rate = Rates(redis), Rate(1, 60, 1)

    assert await rates.take("ada", rate) == 0
    assert await rates.take("eve", rate) == 0
    assert 0 < await redis.pttl("rate:{ada}") <= 60_000


async def test_many_at_once_get_no_more_than_the_burst(redis: Redis) -> None:
    rates, rate = Rates(redis), Rate(1, 3600, 7)

    waits = await asyncio.gather(*(rates.take("ada", rate) for _ in range(50)))

    assert waits.count(0) == 7


async def test_a_clock_that_was_set_back_refuses_nobody_for_longer_than_the_burst(redis: Redis) -> None:
    """An hour ahead is where the time of a rate is that was counted before the clock went back by an hour."""
    rates, rate = Rates(redis), Rate(20, 1, 3)
    seconds, _ = await redis.time()
    await redis.set("rate:{ada}", (seconds + 3600) * 1_000_000)

    assert await rates.take("ada", rate) <= 1 / 20

    async def passes() -> bool:
        return await rates.take("ada", rate) == 0

    await eventually(passes, "the next one to pass")
    assert await redis.pttl("rate:{ada}") <= 1000
