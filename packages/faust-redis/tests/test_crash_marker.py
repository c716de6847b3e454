"""The file that names the event whose code runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faust.types import TP

from faust_redis.consuming.claims import Claim
from faust_redis.consuming.crash_marker import CrashMarker, read_marker
from faust_redis.consuming.suspect import Suspect, likely_culprits

PARTITION = TP("orders", 3)

DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from faust.types import TP
from faust_redis.consuming.crash_marker import CrashMarker

async def wait():
    await asyncio.sleep(60)

async def crash():
    await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    marker = CrashMarker(Path(sys.argv[1]), "member")
    beside = [asyncio.create_task(marker.run(TP("orders", 0), number, wait())) for number in range(5)]
    await marker.run(TP("orders", 3), 17, crash())

asyncio.run(main())
"""


def test_it_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], timeout=60)
    assert read_marker(tmp_path, "member") == (PARTITION, 17)


async def test_it_names_an_event_only_while_its_code_runs(tmp_path: Path) -> None:
    marker = CrashMarker(tmp_path, "member")
    found = []
    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def handle() -> str:
        found.append(read_marker(tmp_path, "member"))
        reached.set()
        await goes_on.wait()
        found.append(read_marker(tmp_path, "member"))
        return "done"

    running = asyncio.create_task(marker.run(PARTITION, 17, handle()))
    await reached.wait()
    found.append(read_marker(tmp_path, "member"))
    goes_on.set()

    assert await running == "done"
    assert found == [(PARTITION, 17), None, (PARTITION, 17)]
    assert read_marker(tmp_path, "member") is None


async def test_errors_and_cancellations_pass_through(tmp_path: Path) -> None:
    marker = CrashMarker(tmp_path, "member")
    cleaned: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned.append("up")
            raise

    with pytest.raises(ValueError, match="no"):
        await marker.run(PARTITION, 1, fail())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await marker.run(PARTITION, 2, wait())
    assert cleaned == ["up"]
    assert read_marker(tmp_path, "member") is None


def test_it_is_removed_when_its_worker_stops_and_those_of_dead_processes_later(tmp_path: Path) -> None:
    host = os.uname().nodename
    old, recent = tmp_path / f"{host}-4194304-a", tmp_path / f"{host}-4194304-b"
    for path in (old, recent):
        path.write_bytes(b"")
    os.utime(old, (1, 1))
    marker = CrashMarker(tmp_path, f"{host}-{os.getpid()}-c")

    asyncio.run(marker.run(PARTITION, 1, asyncio.sleep(0)))

    assert {path.name[-1] for path in tmp_path.iterdir()} == {"b", "c"}
    marker.remove()
    assert list(tmp_path.iterdir()) == [recent]


async def test_without_a_folder_events_are_handled_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    marker = CrashMarker(tmp_path / "file" / "markers", "member")

    assert await marker.run(PARTITION, 1, asyncio.sleep(0, "done")) == "done"
    assert "no crash marker" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\0" * 512, b"orders\n", b"orders x 1\n", b"\xff 1 2\n"])
def test_what_names_no_event_is_no_marker(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "member").write_bytes(content)
    assert read_marker(tmp_path, "member") is None
    assert read_marker(tmp_path, "other") is None


@pytest.mark.parametrize(
    ("ages", "likely"), [([], []), ([5], [0]), ([5, 9], [0, 1]), ([300, 20, 310, 40], [1, 2])]
)
def test_the_youngest_and_the_oldest_event_are_the_likely_culprits(
    ages: list[int], likely: list[int]
) -> None:
    at_work = [
        Suspect(PARTITION, Claim(f"0-{number}", number, 2, 0, "", age)) for number, age in enumerate(ages)
    ]
    found = likely_culprits(at_work)
    assert [suspect.claim.offset for suspect in found] == likely
    assert [suspect.is_youngest for suspect in found] == [True, False][: len(likely)]
