"""Requests are admitted, or rejected with a reason."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from pipeline.chat.records import BUSY, RATE_LIMITED, SESSION_BUSY, SESSION_FULL, Frame
from pipeline.edge.addresses import WIDE_FACTOR
from pipeline.redis.client import connect
from pipeline.redis.memory import MemoryReserve
from pipeline.redis.rates import Rates
from pipeline.settings import RATES, Settings
from pipeline.telemetry.stages.backlog import Pressure
from web.limits.admission import AdmissionControl
from web.limits.in_flight import FUTILE_AT_ONCE, FUTILE_PER_SECOND, InFlight


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


async def test_a_repeat_passes_a_full_stage_but_not_the_limits_of_its_client(redis: Redis) -> None:
    pressure = Pressure({"infer": 10})
    pressure.update(0, {"infer": 10})
    door = gate(redis, pressure, message_rate="1/h")
    denials = [await door.message("ada", "a", may_be_repeat=True) for _ in range(2)]

    assert [denial and denial.code for denial in denials] == [None, RATE_LIMITED]


def answer(message_id: str) -> Frame:
    return {"type": "message", "turn": message_id, "id": f"a-{message_id}", "msg": "Bot: Hi", "timestamp": ""}


def refusal(message_id: str, error: str) -> Frame:
    return {"type": "error", "refused": message_id, "id": f"a-{message_id}", "error": error}


def refuse_until_denied(flight: InFlight, error: str) -> None:
    """Have messages of "ada" refused until no more pass; the share grows again while this runs."""
    for _ in range(4 * FUTILE_AT_ONCE):
        if flight.denial("ada") is not None:
            return
        flight.sent("ada", "m")
        flight.decided("ada", refusal("m", error))
    raise AssertionError("every message passed")


async def test_a_session_with_its_share_on_the_way_is_refused_and_no_other(redis: Redis) -> None:
    door = gate(redis, inbox_limit=9)
    for number in range(10):
        assert await door.message("ada", "a") is None
        door.in_flight.sent("ada", f"m{number}")
        door.in_flight.decided("ada", {"type": "accepted", "id": f"m{number}", "position": number})
    denial = await door.message("ada", "a")

    assert denial is not None
    assert denial.code == SESSION_BUSY
    assert await door.message("eve", "a") is None
    door.in_flight.decided("ada", answer("m0"))
    assert await door.message("ada", "a") is None


async def test_an_end_settles_all_repeats_of_a_message(redis: Redis) -> None:
    flight = InFlight(10)
    for number in range(10):
        flight.sent("ada", f"m{number % 2}")
    flight.decided("ada", refusal("m0", SESSION_BUSY))
    for _ in range(4):
        flight.sent("ada", "m1")
    assert flight.denial("ada") is None
    flight.sent("ada", "m1")
    assert flight.denial("ada") == SESSION_BUSY


@pytest.mark.parametrize("error", [SESSION_BUSY, SESSION_FULL])
async def test_a_session_that_ingest_refuses_again_and_again_is_refused_before_it(error: str) -> None:
    flight = InFlight(10)
    for number in range(FUTILE_AT_ONCE):
        assert flight.denial("ada") is None
        flight.sent("ada", f"m{number}")
        flight.decided("ada", refusal(f"m{number}", error))
    refuse_until_denied(flight, error)
    assert flight.denial("ada") == error
    assert flight.denial("eve") is None
    await asyncio.sleep(4 / FUTILE_PER_SECOND)
    assert flight.denial("ada") is None


async def test_repeats_that_ingest_has_already_count_as_refused(redis: Redis) -> None:
    flight = InFlight(10)
    for _ in range(FUTILE_AT_ONCE):
        assert flight.denial("ada") is None
        flight.sent("ada", "m")
        flight.decided("ada", {"type": "accepted", "id": "m", "position": 0, "duplicate": True})
    refuse_until_denied(flight, SESSION_BUSY)


async def test_frames_of_messages_sent_elsewhere_refuse_nothing_here(redis: Redis) -> None:
    flight = InFlight(10)
    flight.sent("ada", "mine")
    for number in range(2 * FUTILE_AT_ONCE):
        flight.decided("ada", refusal(f"m{number}", SESSION_BUSY))
    assert flight.denial("ada") is None


async def test_a_session_that_comes_back_begins_anew_but_for_what_was_refused(redis: Redis) -> None:
    flight = InFlight(2)
    for number in range(2):
        flight.sent("ada", f"m{number}")
    flight.restart("ada")
    assert flight.denial("ada") is None
    refuse_until_denied(flight, SESSION_FULL)
    flight.restart("ada")
    assert flight.denial("ada") == SESSION_FULL


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
    unreachable = connect("redis://127.0.0.1:1")

    assert await gate(unreachable, message_rate="1/h").message("ada", "a") is None


async def test_the_networks_of_one_customer_have_a_rate_together(redis: Redis) -> None:
    door = gate(redis, address_token_rate="1/h+2")
    customer = [f"2001:db8:0:{net:x}::/64" for net in range(100)]

    admitted = [await door.new_token(address) is None for address in customer]

    assert admitted == [True] * 2 * WIDE_FACTOR + [False] * (100 - 2 * WIDE_FACTOR)
    assert await door.new_token("2001:db8:1::/64") is None
    assert await door.new_token("203.0.113.9") is None


async def test_a_network_that_is_refused_for_its_own_rate_costs_its_customer_nothing(redis: Redis) -> None:
    door = gate(redis, address_connect_rate="1/h")

    assert [await door.connection("2001:db8::/64") is None for _ in range(100)].count(True) == 1
    others = [await door.connection(f"2001:db8:0:{net:x}::/64") is None for net in range(1, WIDE_FACTOR)]
    assert all(others)


async def test_no_key_of_a_rate_reveals_a_token(redis: Redis) -> None:
    token = "6f1b2c3d-0000-4000-8000-00000000abcd"
    door = gate(redis, message_rate="1/h+2", address_message_rate="1/h+2")
    await door.message(token, "a")

    found = [key async for key in redis.scan_iter("rate:*")]
    assert len(found) == 2
    assert not any(token.encode() in key for key in found)


def test_sockets_of_the_networks_of_one_customer_have_a_limit_together(redis: Redis) -> None:
    door = gate(redis, sockets_per_address=1, sockets_per_token=0)
    with ExitStack() as stack:
        opened = [
            stack.enter_context(door.socket(f"t{net}", f"2001:db8:0:{net:x}::/64")) for net in range(40)
        ]
        assert opened == [True] * WIDE_FACTOR + [False] * (40 - WIDE_FACTOR)
        assert stack.enter_context(door.socket("t", "2001:db8:1::/64"))
