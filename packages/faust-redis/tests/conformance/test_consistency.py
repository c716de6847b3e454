"""Totals stay right while workers come and go."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from faust_redis.testing import eventually, wait_until
from tests.conformance.conftest import Lab, Send
from tests.conformance.faults import trial

pytestmark = pytest.mark.usefixtures("no_worker_is_left")


def handled(file: Path) -> list[tuple[int, int]]:
    """Return process and number of each event."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(int(pid), int(number)) for pid, _, number, _ in lines]


def shown(file: Path, pid: int) -> list[str]:
    path = Path(f"{file}.{pid}")
    return path.read_text().splitlines() if path.exists() else []


async def test_a_worker_that_wakes_up_leaves_alone_what_it_had_fetched(lab: Lab, send: Send) -> None:
    file = lab.folder / "handled"
    # The work on an event outlasts the round trip by which the worker notices, on a busy machine, too.
    frozen = lab.start("ledger", file=file, work=0.5, session_timeout=2)
    for number in range(1, 101):
        await send("moves", number, key="key")
    wait_until(lambda: len(handled(file)) > 1, "some events")
    frozen.signal(signal.SIGSTOP)
    heir = lab.start("ledger", file=file, work=0, session_timeout=2)
    await eventually(lambda: (heir.pid, 100) in handled(file), "the other worker to do all")
    before = len([pid for pid, _ in handled(file) if pid == frozen.pid])

    frozen.signal(signal.SIGCONT)
    wait_until(lambda: "joining again" in frozen.printed(), "the worker to notice")
    frozen.signal(signal.SIGTERM)
    frozen.process.wait(30)
    heir.end()

    assert len([pid for pid, _ in handled(file) if pid == frozen.pid]) <= before + 1
    last = lab.start("ledger", file=file)
    wait_until(lambda: shown(file, last.pid) == ["key 100 100"], "the table as the heir left it")


def gaps(file: Path) -> list[str]:
    """Return the events that met a table which was not up to date."""
    return [line for line in file.read_text().splitlines() if line.endswith("gap")]


async def test_what_a_table_refused_of_a_worker_that_was_frozen_is_done_again(
    lab: Lab, send: Send, tmp_path: Path
) -> None:
    lab.redis.flushall()
    file = tmp_path / "handled"
    workers = [lab.start("ledger", file=file, work=0.1, session_timeout=2) for _ in range(2)]
    for number in range(1, 61):
        await send("moves", number, key="key")
    wait_until(lambda: len(handled(file)) > 3, "some events")
    pid, _ = handled(file)[0]
    (frozen,) = (worker for worker in workers if worker.pid == pid)
    before = lab.redis.hget("faust:{ledger}:state", "generation")

    frozen.signal(signal.SIGSTOP)
    await eventually(
        lambda: lab.redis.hget("faust:{ledger}:state", "generation") != before,
        "the other to go on without it",
    )
    await eventually(lambda: lab.redis.exists("faust:{ledger}:plan"), "a plan without it")
    frozen.signal(signal.SIGCONT)  # while its heir is still about to read the table

    wait_until(lambda: {number for _, number in handled(file)} == set(range(1, 61)), "all of it")
    assert not gaps(file)
    for worker in workers:
        worker.end()
    last = lab.start("ledger", file=file)
    wait_until(lambda: shown(file, last.pid) == ["key 60 60"], "a table that counted each once")


async def test_tables_are_read_anew_when_redis_lost_its_data(lab: Lab, send: Send, tmp_path: Path) -> None:
    lab.redis.flushall()
    file = tmp_path / "handled"

    def done(last: int) -> bool:
        return {number for _, number in handled(file)} == set(range(1, last + 1))

    def send_from(first: int, last: int) -> list[tuple[int, int]]:
        return [(number, number % 4) for number in range(first, last + 1)]

    first = lab.start("ledger", file=file, work=0, session_timeout=2)
    for number, partition in send_from(1, 80):
        await send("moves", number, key=f"key-{number}", partition=partition)
    wait_until(lambda: done(80), "what was sent first")
    second = lab.start("ledger", file=file, work=0, session_timeout=2)

    lab.redis.flushall()
    for number, partition in send_from(81, 92):
        await send("moves", number, key=f"key-{number}", partition=partition)
    wait_until(lambda: done(92), "what was sent after Redis had lost its data")
    first.signal(signal.SIGTERM)
    first.process.wait(30)
    for number, partition in send_from(93, 104):
        await send("moves", number, key=f"key-{number}", partition=partition)

    wait_until(lambda: done(104), "the other worker to do the rest")
    assert second.process.poll() is None
    assert "Redis has lost data" in second.printed()


async def test_programs_of_one_group_each_have_their_own_tables(lab: Lab, send: Send, tmp_path: Path) -> None:
    lab.redis.flushall()
    topics = ("moves", "others", "moves", "others")
    files = {topic: tmp_path / topic for topic in topics}
    workers = [
        lab.start("ledger", ready=False, topic=topic, file=files[topic], work=0, session_timeout=2)
        for topic in topics
    ]
    for worker in workers:
        worker.wait_ready()
    for topic in files:
        for number in range(1, 41):
            await send(topic, number, key=f"key-{number}")

    for topic, file in files.items():
        wait_until(lambda file=file: len(handled(file)) == 40, f"all of {topic}")  # type: ignore[misc]


async def test_nothing_is_lost_misordered_or_miscounted_under_random_faults(tmp_path: Path) -> None:
    verdict = await trial(random.randrange(2**32), 8, tmp_path)

    assert verdict.good, verdict
