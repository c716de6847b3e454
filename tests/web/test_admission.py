"""What is let in, and what is said when it is not."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from pipeline.chat.records import BUSY, RATE_LIMITED, SESSION_BUSY, Frame
from pipeline.redis.memory import MemoryReserve
from pipeline.redis.rates import Rates
from pipeline.settings import RATES, Settings
from pipeline.telemetry.stages.backlog import Pressure
from web import limits
from web.limits.admission import AdmissionControl


def gate(redis: Redis, pressure: Pressure | None = None, **settings: object) -> AdmissionControl:
    return AdmissionControl(
        Settings.load(**{**dict.fromkeys(RATES, "0"), **settings}), Rates(redis), pressure or Pressure({})
    )


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


async def test_who_floods_is_refused_for_his_own_rate_before_a_full_stage_is_looked_at(redis: Redis) -> None:
    pressure = Pressure({"infer": 10})
    pressure.update(0, {"infer": 10})
    door = gate(redis, pressure, message_rate="1/h")
    denials = [await door.message("ada", "a") for _ in range(2)]

    assert [denial and denial.code for denial in denials] == [BUSY, RATE_LIMITED]


async def test_a_session_with_its_share_on_the_way_is_refused_and_no_other(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IN_FLIGHT_PER_SESSION", 10)
    door = gate(redis, inbox_limit=5)
    frame: Frame = {"type": "accepted", "id": "m", "position": 0}
    for _ in range(10):
        assert await door.message("ada", "a") is None
        door.in_flight.sent("ada", "m")
    denial = await door.message("ada", "a")

    assert denial is not None
    assert denial.code == SESSION_BUSY
    assert await door.message("eve", "a") is None
    door.in_flight.decided("ada", frame)
    assert await door.message("ada", "a") is None


async def test_an_end_settles_all_repeats_of_a_message(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IN_FLIGHT_PER_SESSION", 10)
    door = gate(redis, inbox_limit=5)
    for number in range(10):
        door.in_flight.sent("ada", f"m{number % 2}")
    door.in_flight.decided("ada", {"type": "error", "refused": "m0", "id": "e"})
    for _ in range(4):
        door.in_flight.sent("ada", "m1")
    assert not door.in_flight.is_full("ada")
    door.in_flight.sent("ada", "m1")
    assert door.in_flight.is_full("ada")


async def test_a_full_redis_refuses_new_sessions_first_and_messages_at_the_end(redis: Redis) -> None:
    memory = MemoryReserve()
    settings = Settings.load()
    door = AdmissionControl(settings, Rates(redis), Pressure({}), memory)
    seen = []
    for used in (84, 86, 82, 80, 98, 93, 91):
        memory.update(used, 100)
        denials = await door.new_token(str(used)), await door.message(str(used), "a")
        seen.append(tuple(denial.code if denial else "" for denial in denials))

    assert seen == [("", ""), (BUSY, ""), (BUSY, ""), ("", ""), (BUSY, BUSY), (BUSY, BUSY), (BUSY, "")]


async def test_a_redis_without_a_bound_is_never_full() -> None:
    memory = MemoryReserve()
    memory.update(10**12, 0)
    assert not memory.refuses_sessions


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
