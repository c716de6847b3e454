"""Events that kill their process end as dead letters; those that were only near them do not."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import faust
import pytest
import redis
from faust.types import Message, StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetter, DeadLetters, on_dead_letter
from faust_redis.testing import eventually, wait_until
from tests.apps import MakeApp, is_empty, running
from tests.worker import StartWorker, Worker

PROGRAM = "tests.programs.poisoned"


#: Five or six workers die one after the other, and each death is noticed after its session time-out.
kills_many_workers = pytest.mark.skipif(
    not os.environ.get("POISON_SLOW"), reason="takes minutes: make poison"
)
pytestmark = pytest.mark.timeout(400)


async def send(url: str, *values: str, partitions: int = 2) -> None:
    app = faust.App("sender", broker=url, topic_partitions=partitions)
    topic = app.topic("orders", value_serializer="raw")
    await app.maybe_start_producer()
    for number, value in enumerate(values):
        await topic.send(key=b"%d" % number, value=value.encode(), partition=number % partitions)
    await app.producer.flush()
    await app.producer.stop()


async def letters(url: str) -> list[DeadLetter]:
    async with Redis.from_url(url) as client:
        return await DeadLetters(client).page(["orders"], count=1000)


def supervise(start: Callable[[], Worker], is_over: Callable[[], bool], timeout: float = 300) -> int:
    """Start a worker again whenever it died, as an orchestrator does; return how often it did."""
    worker, deaths = start(), 0
    deadline = time.monotonic() + timeout
    while not is_over():
        assert time.monotonic() < deadline, f"waited for {timeout} s; {deaths} deaths"
        if worker.process.poll() is not None:
            deaths += 1
            worker = start()
        time.sleep(0.05)
    return deaths


@kills_many_workers
@pytest.mark.parametrize("poison", ["kills at once", "kills late"])
async def test_an_event_that_kills_its_process_is_a_dead_letter_and_the_others_are_done(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis, poison: str
) -> None:
    others = [f"order {number}" for number in range(60)]
    await send(redis_url, *others[:20], poison, *others[20:])

    def is_over() -> bool:
        return notes.xlen("dead:{orders:0}") + notes.xlen("dead:{orders:1}") > 0 and set(others) <= set(
            notes.lrange("done", 0, -1)
        )

    deaths = supervise(lambda: start_worker(redis_url, ready=False, program=PROGRAM), is_over)

    (letter,) = await letters(redis_url)
    assert letter.value == poison.encode()
    # One that kills late may first be seen at work beside others, which proves nothing.
    assert deaths == 5 if poison == "kills at once" else deaths in {5, 6}
    assert letter.error == f"WorkerDiedError: its worker died {deaths} times while it was being handled"


@pytest.mark.parametrize("way", ["raises", "undecodable", "unreadable"])
@pytest.mark.slow
async def test_a_program_hears_of_an_event_before_it_is_a_dead_letter(
    make_app: MakeApp, redis_url: str, streams: Redis, way: str
) -> None:
    app = make_app(broker=f"{redis_url}?attempts=2&backoff=0.01")
    answers = app.topic("answers", value_serializer="raw")
    heard: list[tuple[bytes | None, str]] = []

    @app.agent(app.topic("orders", value_type=cast(Any, int)))
    async def work(stream: StreamT[int]) -> None:
        async for _ in stream:
            raise ValueError("no")

    async def apologize(message: Message, error: BaseException) -> None:
        heard.append((message.value, type(error).__name__))
        await answers.send(value=b"sorry")

    on_dead_letter(app, apologize)
    timestamp = b"x" if way == "unreadable" else b"1"
    value = b"{" if way == "undecodable" else b"1"

    async with running(app):
        fields = (b"v", value, b"t", timestamp)
        await streams.execute_command("XADD", "{orders:0}", "0-*", *fields)  # type: ignore[no-untyped-call]
        await eventually(is_empty(streams, "orders"), "the event to be given up")

    error = {"raises": "ValueError", "undecodable": "ValueDecodeError", "unreadable": "UnreadableEntryError"}
    assert heard == [(None if way == "unreadable" else value, error[way])]
    assert await streams.xlen("{answers:0}") == 1


async def test_a_callback_that_raises_does_not_keep_the_event(
    make_app: MakeApp, streams: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    app.agent(app.topic("orders", value_type=cast(Any, int)))(_ignore)

    async def fail(_message: Message, _error: BaseException) -> None:
        raise RuntimeError("the callback's own")

    on_dead_letter(app, fail)
    await streams.execute_command("XADD", "{orders:0}", "0-*", "v", "{", "t", "1")  # type: ignore[no-untyped-call]

    async with running(app):
        await eventually(is_empty(streams, "orders"), "the event to be given up")
    assert await DeadLetters(streams).counts(["orders"]) == {"orders": 1}
    assert "the callback's own" in caplog.text


async def _ignore(stream: StreamT[int]) -> None:
    async for _ in stream:
        pass


async def test_the_option_says_how_many_workers_may_die(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis
) -> None:
    await send(redis_url, "kills at once")

    deaths = supervise(
        lambda: start_worker(redis_url, ready=False, program=PROGRAM, options="take_overs=2"),
        lambda: notes.xlen("dead:{orders:0}") > 0,
    )

    assert deaths == 2
    assert notes.llen("killed") == 2


async def test_an_event_whose_own_code_kills_is_found_at_the_first_death(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis, tmp_path: Path
) -> None:
    others = [f"order {number}" for number in range(10)]
    await send(redis_url, *others, "kills at once")

    def start() -> Worker:
        return start_worker(
            redis_url,
            ready=False,
            program=PROGRAM,
            datadir=tmp_path / "shared",
            marked="yes",
            options="take_overs=3&ordinary_deaths=1",
        )

    deaths = supervise(start, lambda: notes.xlen("dead:{orders:0}") > 0)

    assert deaths == 2
    (letter,) = await letters(redis_url)
    assert letter.value == b"kills at once"
    wait_until(lambda: sorted(notes.lrange("done", 0, -1)) == sorted(others), "all others, once", 30)


@kills_many_workers
async def test_an_event_that_began_beside_the_one_that_kills_is_not_blamed(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis
) -> None:
    others = [f"order {number}" for number in range(9)]
    await send(redis_url, *others[:4], "kills late", *others[4:])

    deaths = supervise(
        lambda: start_worker(
            redis_url, ready=False, program=PROGRAM, work="1.6", options="take_overs=3&ordinary_deaths=1"
        ),
        lambda: notes.xlen("dead:{orders:0}") + notes.xlen("dead:{orders:1}") > 0,
    )

    assert deaths <= 6
    assert [letter.value for letter in await letters(redis_url)] == [b"kills late"]
    wait_until(lambda: set(others) <= set(notes.lrange("done", 0, -1)), "all others", 60)


@kills_many_workers
async def test_an_operator_who_kills_workers_in_a_loop_makes_no_dead_letters(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis
) -> None:
    orders = [f"order {number}" for number in range(100)]
    await send(redis_url, *orders)
    chosen = random.Random(7)

    def start() -> Worker:
        return start_worker(redis_url, program=PROGRAM, concurrency="4", work="0.1")

    for _ in range(5):
        worker = start()
        await asyncio.sleep(chosen.uniform(0.1, 1.0))  # the moment of the kill, by no condition
        worker.signal(signal.SIGKILL)
        worker.process.wait()
    start()

    wait_until(lambda: set(orders) <= set(notes.lrange("done", 0, -1)), "all orders", 90)
    assert await letters(redis_url) == []


async def test_restarts_in_order_make_no_suspects(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis
) -> None:
    orders = [f"order {number}" for number in range(400)]
    await send(redis_url, *orders)

    for _ in range(4):
        worker = start_worker(redis_url, program=PROGRAM, concurrency="1", work="0.05")
        worker.signal(signal.SIGTERM)
        worker.process.wait()

    for number in range(2):
        pending = notes.xpending_range(f"{{orders:{number}}}", "poisoned", "-", "+", 1000)
        assert {entry["times_delivered"] for entry in pending} <= {1}
        assert not notes.exists(f"{{orders:{number}}}:suspects:poisoned")


async def test_nothing_is_left_of_suspects_that_are_done(
    start_worker: StartWorker, redis_url: str, notes: redis.Redis
) -> None:
    await send(redis_url, *[f"order {number}" for number in range(20)])
    for _ in range(3):
        worker = start_worker(redis_url, program=PROGRAM, work="600")
        wait_until(
            lambda: notes.xpending("{orders:0}", "poisoned")["pending"] == 10, "ten orders at work", 90
        )
        worker.signal(signal.SIGKILL)
        worker.process.wait()

    start_worker(redis_url, program=PROGRAM)

    wait_until(lambda: notes.llen("done") == 20, "all orders", 90)
    wait_until(lambda: notes.hkeys("{orders:0}:suspects:poisoned") == ["owner"], "no suspects")
