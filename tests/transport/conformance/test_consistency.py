"""Totals stay right while workers come and go."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from tests.support.waiting import eventually, wait_until
from tests.transport.conformance.conftest import Lab, Send
from tests.transport.conformance.faults import trial


def handled(file: Path) -> list[tuple[int, int]]:
    """Return process and number of each event."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(int(pid), int(number)) for pid, _, number, _ in lines]


def shown(file: Path, pid: int) -> list[str]:
    path = Path(f"{file}.{pid}")
    return path.read_text().splitlines() if path.exists() else []


async def test_a_worker_that_wakes_up_leaves_alone_what_it_had_fetched(lab: Lab, send: Send) -> None:
    file = lab.folder / "handled"
    frozen = lab.start("ledger", file=file, work=0.05, session_timeout=2)
    for number in range(1, 101):
        await send("moves", number, key="key")
    wait_until(lambda: len(handled(file)) > 3, "some events")
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


async def test_nothing_is_lost_misordered_or_miscounted_under_random_faults(tmp_path: Path) -> None:
    verdict = await trial(random.randrange(2**32), 8, tmp_path)

    assert verdict.good, verdict
