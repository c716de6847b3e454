"""A worker that a message has made unable to work ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import asyncio, time
from pipeline.worker.containment import end_when_stuck, end_without_memory, limit_memory

{body}

async def main():
    limit_memory()
    watching = asyncio.create_task(end_when_stuck())
    await asyncio.sleep(0)
    await end_without_memory(handle())
    watching.cancel()
    print("done")

asyncio.run(main())
"""

LOOP = """
async def handle():
    while True:
        pass
"""
HOARD = """
async def handle():
    bytearray(2 << 30)
"""
BUSY = """
async def handle():
    for _ in range(30):
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        await asyncio.sleep(0)
"""
KERNEL = """
import os

async def handle():
    end = time.process_time() + 1.0
    while time.process_time() < end:
        os.urandom(1 << 20)
        await asyncio.sleep(0)
"""
WAITING = """
async def handle():
    time.sleep(2)
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [(LOOP, -signal.SIGVTALRM), (HOARD, -signal.SIGKILL), (BUSY, 0), (KERNEL, 0), (WAITING, 0)],
)
def test_a_handler_without_end_ends_its_process_and_a_busy_one_does_not(body: str, status: int) -> None:
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == status, ended.stderr
    assert ("done" in ended.stdout) == (status == 0)
    if body == LOOP:
        assert "in handle" in ended.stderr
        assert time.monotonic() - began < 30


STOPPING = """
import asyncio
from pipeline.worker import containment

containment.STOP_SECONDS = 0.1

async def wait_for_ever():
    await asyncio.Event().wait()

async def main():
    await containment.limit_stop()
    await {waiting}
    print("done")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("waiting", "status"), [("wait_for_ever()", -signal.SIGKILL), ("asyncio.sleep(0)", 0)]
)
def test_a_worker_that_does_not_stop_in_time_ends_and_shows_its_tasks(waiting: str, status: int) -> None:
    program = STOPPING.format(waiting=waiting)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == status, ended.stderr
    assert ("done" in ended.stdout) == (status == 0)
    assert ("wait_for_ever > " in ended.stderr) == (status != 0)
