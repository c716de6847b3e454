"""A group whose members come, go and die while there is work: what its program can rely on."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import redis

from faust_redis.testing import RedisServer, eventually, wait_until
from tests.numbers import all_seen, in_order, more, numbers_seen, send_numbers, sending
from tests.worker import StartWorker


def working(notes: redis.Redis, last: int = 100) -> set[int]:
    """Return the process ids of those that worked on the latest numbers."""
    entries = cast("list[str]", notes.lrange("seen", -last, -1))
    return {int(entry.split(":")[2]) for entry in entries}


def seen(notes: redis.Redis, numbers: set[int]) -> bool:
    return set(numbers_seen(notes)) == numbers


async def test_one_worker_then_four_then_two_and_every_number_once(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    workers = [start_worker(redis_url)]
    async with sending(redis_url) as sent:
        await more(sent)
        workers += [await asyncio.to_thread(start_worker, redis_url) for _ in range(3)]
        await eventually(lambda: len(working(notes)) == 4, "four workers to be at work")
        for worker in workers[:2]:
            worker.signal(signal.SIGTERM)
        await eventually(
            lambda: working(notes) == {worker.pid for worker in workers[2:]}, "two workers to be at work"
        )
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    assert sorted(numbers_seen(notes)) == sent, "a planned stop has nothing done twice"


async def test_partitions_of_a_killed_worker_have_an_owner_soon_after_the_session_timeout(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    killed = start_worker(redis_url, session_timeout="3")
    start_worker(redis_url, session_timeout="3")
    await send_numbers(redis_url, 40)
    await eventually(lambda: len(working(notes)) == 2, "both to be at work")

    killed.signal(signal.SIGKILL)
    await send_numbers(redis_url, 40, first=40)

    wait_until(lambda: set(numbers_seen(notes)) == set(range(80)), "every number")


async def test_members_of_one_group_get_only_what_they_subscribe_to(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url, numbers="others")
    worker = start_worker(redis_url)
    await send_numbers(redis_url, 40)

    wait_until(lambda: len(numbers_seen(notes)) == 40, "40 numbers")
    assert working(notes) == {worker.pid}


async def test_names_of_consumers_and_keys_do_not_pile_up(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    sizes = []
    for turn in range(4):
        worker = start_worker(redis_url, session_timeout="2")
        await send_numbers(redis_url, 200, first=200 * turn)
        numbers = set(range(200 * (turn + 1)))
        await eventually(partial(seen, notes, numbers), "all numbers")
        wait_until(lambda: not any(notes.xlen(f"{{numbers:{p}}}") for p in range(4)), "empty streams")
        sizes.append(notes.dbsize())
        worker.signal(signal.SIGKILL if turn % 2 else signal.SIGTERM)
        worker.process.wait(45)

    for partition in range(4):
        assert len(notes.xinfo_consumers(f"{{numbers:{partition}}}", "counting")) <= 2
    assert max(sizes) - min(sizes) <= 1


async def test_an_address_of_ipv6(
    tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with RedisServer(tmp_path / "redis", "bind 127.0.0.1 ::1") as server:
        url = f"redis://[::1]:{server.port}/0"
        start_worker(url, notes_url=redis_url)
        await send_numbers(url, 20)

        wait_until(lambda: notes.llen("doubled") == 20, "20 numbers")


@pytest.mark.slow
def test_the_example_of_the_documentation_runs(tmp_path: Path, redis_url: str) -> None:
    page = (Path(__file__).parents[1] / "docs" / "guide.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(# shop\.py\n.*?)```", page, re.DOTALL)
    assert example is not None
    assert len(example[1].splitlines()) <= 20
    program = example[1].replace("redis://127.0.0.1:6379/5", redis_url)
    (tmp_path / "shop.py").write_text(program, encoding="utf-8")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "faust", "-A", "shop", "worker", "-l", "info", "--without-web"]
    with log.open("wb") as output:
        worker = subprocess.Popen(command, cwd=tmp_path, env={"PATH": ""}, stdout=output, stderr=output)
    try:
        wait_until(lambda: b"Ada has paid 14" in log.read_bytes(), "the example to say what it does")
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_whose_agents_raise_while_it_stops_ends_and_leaves_its_group(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    worker = start_worker(redis_url, program="tests.programs.raising")
    wait_until(lambda: notes.exists("{second:0}:lease:raising"), "the worker to own its partitions")
    worker.signal(signal.SIGTERM)

    wait_until(lambda: worker.process.poll() is not None, "the worker to end", timeout=45)
    assert notes.hlen("faust:{raising}:members") == 0
    assert "the first did not expect to stop" in worker.printed()
