"""`make soak` in short: what is flat after thousands of events, and what the soak itself would notice."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import fields
from pathlib import Path

import pytest

from faust_redis.testing import eventually
from tests.soak.course import Soak
from tests.soak.growth import WINDOWS, growths
from tests.soak.journal import Journal
from tests.soak.load import KEYS, LENGTH
from tests.soak.samples import PARTITIONS, Sample, resident_kib

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

#: Events sent before memory is looked at: by then caches, buffers and Faust's own histories are full.
WARM = 10_000
MEASURED = 40_000
#: Sent at once, less than a producer or a stream holds up for.
BURST = 500
#: A message that is kept takes several times as much; memory itself comes in steps of some MiB.
BYTES_PER_EVENT = 200


async def pass_through(soak: Soak, count: int) -> None:
    """Send so many, no faster than they are handled, and wait until that is done."""
    for _ in range(count // BURST):
        await soak.load.send(BURST)
        await eventually(
            lambda: soak.journal.read() > soak.load.total - 2 * BURST, "the load to be kept up with"
        )
    await soak.settle()


async def test_a_worker_takes_no_more_memory_for_what_it_has_handled(soak: Soak) -> None:
    await pass_through(soak, WARM)
    before = resident_kib(soak.workers[0].pid)

    await pass_through(soak, MEASURED)

    grown = 1024 * (resident_kib(soak.workers[0].pid) - before)
    assert grown < BYTES_PER_EVENT * MEASURED, f"{grown / MEASURED:.0f} bytes an event"
    assert not soak.faults()


async def test_names_and_keys_do_not_pile_up_while_workers_come_and_go(soak: Soak) -> None:
    await pass_through(soak, 2000)
    keys = set(soak.lab.redis.scan_iter())

    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        joining = soak.join()
        await asyncio.to_thread(joining.wait_ready)
        await soak.load.send(2 * BURST)
        soak.leave(how)
    await pass_through(soak, 2000)

    assert set(soak.lab.redis.scan_iter()) <= keys
    assert soak.sample().names == 1
    assert not soak.faults()


async def test_rows_that_were_deleted_leave_the_changelog(soak: Soak) -> None:
    await pass_through(soak, 5 * KEYS * LENGTH)  # all rows are full, and gone

    def rest() -> list[int]:
        left = [int(soak.lab.redis.xlen(f"{{soaked-lasts-changelog:{n}}}")) for n in range(PARTITIONS)]
        return [count for count in left if count > 1]  # the last entry of a log tells where it ends

    await eventually(lambda: not rest(), "the tombstones to go")


# -- what a soak notices ------------------------------------------------------------------------------------


def write(tmp_path: Path, *lines: str) -> None:
    """Write lines as the counter does: key, number, forwarder, counter, what the table held."""
    with (tmp_path / "handled").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_an_event_that_never_came_is_lost(journal: Journal, tmp_path: Path) -> None:
    write(tmp_path, "a 1 7 8 0", "a 3 7 8 2")

    assert journal.read() == 2
    assert journal.lost({"a": 4, "b": 1}) == ["a 2", "a 4", "b 1"]


def test_an_event_may_come_again_only_after_a_kill_of_who_had_it(journal: Journal, tmp_path: Path) -> None:
    write(tmp_path, "a 1 7 8 0", "b 1 6 6 0")
    journal.killed.add(7)
    write(tmp_path, "a 1 6 8 1", "b 1 6 6 1")

    assert journal.read() == 2
    assert journal.again == 1
    assert journal.doubled == ["b 1"]


def test_an_event_after_a_later_one_of_its_key_is_misordered(journal: Journal, tmp_path: Path) -> None:
    write(tmp_path, "a 2 7 8 1", "b 1 7 8 0")
    journal.read()
    write(tmp_path, "a 1 7 8 0")

    assert journal.read() == 3
    assert journal.misordered == ["a 1"]


def test_an_event_that_meets_an_old_table_is_a_gap(journal: Journal, tmp_path: Path) -> None:
    write(tmp_path, "a 1 7 8 0", "a 2 7 8 0")
    journal.read()

    assert journal.gaps == ["a 2 after 0"]


def test_a_line_that_is_being_written_waits_until_it_is_whole(journal: Journal, tmp_path: Path) -> None:
    with (tmp_path / "handled").open("a") as file:
        file.write("a 1 7 8 0\nb 1")
    assert journal.read() == 1

    write(tmp_path, " 7 8 0")
    assert journal.read() == 2


def sample(**figures: int) -> Sample:
    return Sample(**{field.name: figures.get(field.name, 0) for field in fields(Sample)})


def test_what_grows_slowly_has_grown_at_the_end() -> None:
    samples = [sample(keys=100 + number, redis_kib=3000 + number) for number in range(10 * WINDOWS)]

    assert [growth.name for growth in growths(samples) if growth.too_much] == ["keys"]


def test_what_grows_while_a_soak_begins_has_not_grown() -> None:
    start = [sample(steady_kib=10_000 * number) for number in range(10)]
    rest = [sample(steady_kib=100_000)] * 50

    assert not any(growth.too_much for growth in growths(start + rest))
