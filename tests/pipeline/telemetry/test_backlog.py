"""The bound on what may wait in a stage."""

from __future__ import annotations

from faust_redis.testing import Keys
from pipeline.redis.client import connect
from pipeline.telemetry.stages.backlog import IDLE_INTERVAL, LONGEST_WAIT, Pressure, waiting_in

KEYS = Keys()


def test_an_idle_service_is_sampled_seldom_and_a_message_ends_that() -> None:
    pressure = Pressure({"infer": 10})
    assert pressure.is_due(0.0)
    pressure.update(0.0, {"infer": 0})
    assert not pressure.is_due(IDLE_INTERVAL - 1)
    assert pressure.is_due(IDLE_INTERVAL)
    pressure.asked = True
    assert pressure.is_due(1.0)
    pressure.update(1.0, {"infer": 1})
    assert pressure.is_due(2.0)  # until the message is answered


def look(pressure: Pressure, *looks: int) -> list[int | None]:
    answers = []
    for second, waiting in enumerate(looks):
        pressure.update(float(second), {"infer": waiting})
        answers.append(pressure.retry_after)
    return answers


def test_messages_are_taken_up_to_the_limit() -> None:
    assert look(Pressure({"infer": 100}), 0, 50, 99) == [None, None, None]


def test_a_full_stage_refuses_until_it_has_room_again() -> None:
    answers = look(Pressure({"infer": 100}), 99, 100, 95, 81, 79, 95)

    assert [answer is None for answer in answers] == [True, False, False, False, True, True]


def test_the_wait_is_what_the_stage_needs_at_its_speed() -> None:
    assert look(Pressure({"infer": 100}), 300, 290)[-1] == 21  # 210 above 80, 10 per second
    assert look(Pressure({"infer": 100}), 300, 300)[-1] == LONGEST_WAIT
    assert look(Pressure({"infer": 100}), 10_000, 9_999)[-1] == LONGEST_WAIT


def test_no_limit_never_refuses() -> None:
    assert look(Pressure({"infer": 0}), 1_000_000) == [None]


async def test_what_waits_is_counted_over_all_partitions(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        for partition in (0, 3):
            for _ in range(5):
                await redis.xadd(KEYS.stream(("infer", partition)), {"v": "x"})

        assert await waiting_in(redis, {"ingest": 1, "infer": 1}, 4) == {"ingest": 0, "infer": 10}
