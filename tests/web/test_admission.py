"""What is let in, and what is said when it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from pipeline.chat.records import BUSY, RATE_LIMITED
from pipeline.redis.client import connect
from pipeline.redis.rates import Rates
from pipeline.settings import Settings
from pipeline.telemetry.stages.backlog import Pressure
from web.limits.admission import AdmissionControl


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


def gate(redis: Redis, pressure: Pressure | None = None, **settings: object) -> AdmissionControl:
    return AdmissionControl(Settings.load(**settings), Rates(redis), pressure or Pressure({}))


async def test_without_limits_everything_passes(redis: Redis) -> None:
    door = gate(redis)

    assert [await door.message("ada", "a") for _ in range(300)] == [None] * 300
    assert await door.new_token("a") is None
    assert not await redis.keys("rate:*")


async def test_a_rate_per_token_and_one_per_address_both_count(redis: Redis) -> None:
    door = gate(redis, message_rate="1/h+2", address_message_rate="1/h+3")

    assert [await door.message("ada", "a") is None for _ in range(3)] == [True, True, False]
    assert [await door.message("eve", "a") is None for _ in range(2)] == [True, False]
    denial = await door.message("eve", "a")
    assert denial is not None
    assert (denial.code, 3500 < denial.retry_after <= 3600) == (RATE_LIMITED, True)


async def test_two_web_processes_count_together(redis: Redis) -> None:
    doors = [gate(redis, address_token_rate="1/h+3") for _ in range(2)]

    passed = [await door.new_token("a") is None for door in doors * 3]

    assert passed.count(True) == 3


async def test_a_full_stage_denies_before_anything_is_counted(redis: Redis) -> None:
    pressure = Pressure({"infer": 10})
    pressure.update(0, {"infer": 10})
    denial = await gate(redis, pressure, message_rate="1/h").message("ada", "a")

    assert denial is not None
    assert (denial.code, denial.retry_after) == (BUSY, 1)
    assert not await redis.keys("rate:*")


async def test_sockets_are_counted_while_they_are_open(redis: Redis) -> None:
    door = gate(redis, sockets_per_token=1, sockets_per_address=2)

    with (
        door.socket("ada", "a") as first,
        door.socket("ada", "a") as second,
        door.socket("eve", "a") as third,
    ):
        assert (first, second, third) == (True, False, True)
        with door.socket("bob", "a") as fourth:
            assert not fourth
    with door.socket("ada", "a") as again:
        assert again


async def test_without_redis_a_rate_denies_nothing() -> None:
    unreachable: Redis = Redis(port=1)

    assert await gate(unreachable, message_rate="1/h").message("ada", "a") is None
