"""Child processes of `parley up`: kept running, listened to, gone when they must be."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from parley.cli.children import Child, Process, describe_exit
from pipeline.heartbeats import DESCRIPTOR_VARIABLE

STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
)
STUCK = """
import asyncio, time
from pipeline import heartbeats

def hang():
    print("up", flush=True)
    time.sleep(60)

async def main():
    heartbeats.begin(asyncio.get_running_loop())
    await asyncio.sleep(0.1)
    hang()

asyncio.run(main())
"""
PATIENT = "import signal; print('up', flush=True); signal.pause()"


class Heard:
    """Keeps the lines that children print, and lets a test wait for one."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def say(self, name: str, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)
        self._news.set()

    async def until(self, happened: Callable[[list[str]], bool]) -> None:
        """Wait until the lines are as wanted."""
        async with asyncio.timeout(60):
            while not happened(self.lines):
                self._news.clear()
                await self._news.wait()


def python(code: str) -> Callable[[int, int], Awaitable[Process]]:
    def start(output: int, _heartbeats: int) -> Awaitable[Process]:
        return asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=output, stderr=output, start_new_session=True
        )

    return start


@contextlib.asynccontextmanager
async def kept_running(code: str, heard: Heard, may_restart: bool = True) -> AsyncIterator[Child]:
    child = Child("part", python(code), heard.say)
    task = asyncio.create_task(child.keep_running(lambda _status: may_restart))
    try:
        yield child
    finally:
        await child.stop(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_child_that_dies_is_started_again() -> None:
    heard = Heard()
    async with kept_running(PATIENT, heard) as child:
        await heard.until(lambda lines: lines == ["up"])
        assert child.process is not None
        child.process.kill()
        await heard.until(lambda lines: lines.count("up") == 2)

        assert any("killed by SIGKILL; starting again in 0.05 s" in line for line in heard.lines)
        assert child.alive


async def test_the_pause_before_a_restart_grows() -> None:
    heard = Heard()
    async with kept_running("raise SystemExit(3)", heard):
        await heard.until(lambda lines: len(lines) == 3)

    assert heard.lines == [
        f"ended with status 3; starting again in {pause} s" for pause in ("0.05", "0.1", "0.2")
    ]


async def test_a_child_that_could_not_be_started_is_tried_again() -> None:
    heard, failures = Heard(), [OSError(24, "Too many open files")]

    def start(output: int, heartbeats: int) -> Awaitable[Process]:
        if failures:
            raise failures.pop()
        return python(PATIENT)(output, heartbeats)

    child = Child("part", start, heard.say)
    task = asyncio.create_task(child.keep_running(lambda _status: True))
    await heard.until(lambda lines: lines[-1:] == ["up"])
    await child.stop(10)
    await task

    assert heard.lines[0] == "could not be started: [Errno 24] Too many open files; starting again in 0.05 s"


async def test_a_child_that_refuses_its_settings_is_not_started_again() -> None:
    heard = Heard()
    child = Child("part", python("raise SystemExit(2)"), heard.say)

    await child.keep_running(lambda status: status != 2)

    assert heard.lines == []
    assert not child.alive


async def test_a_child_whose_event_loop_does_not_turn_is_ended_with_a_traceback() -> None:
    heard = Heard()

    def start(output: int, heartbeats: int) -> Awaitable[Process]:
        return asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STUCK),
            stdout=output,
            stderr=output,
            pass_fds=[heartbeats],
            env={DESCRIPTOR_VARIABLE: str(heartbeats)},
            start_new_session=True,
        )

    child = Child("part", start, heard.say, hang_timeout=1)
    await child.keep_running(lambda _status: False)

    assert heard.lines[:2] == ["up", "hangs: no sign of life for 1 s, sleeping; it is ended"]
    assert any("in hang" in line for line in heard.lines)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGABRT


async def test_a_stopped_child_stays_stopped() -> None:
    heard = Heard()
    async with kept_running(PATIENT, heard) as child:
        await heard.until(lambda lines: lines == ["up"])
        await child.stop(10)

        assert not child.alive
        assert heard.lines == ["up"]


async def test_a_child_that_does_not_stop_is_killed() -> None:
    heard = Heard()
    async with kept_running(STUBBORN, heard) as child:
        await heard.until(lambda lines: lines == ["up"])
        await child.stop(0.1)

        assert child.process is not None
        assert child.process.returncode == -signal.SIGKILL
        assert heard.lines[-1] == "did not stop within 0.1 s: killed"


async def test_lines_are_passed_on_whatever_is_in_them() -> None:
    heard = Heard()
    code = "import os; os.write(1, b'\\xff bad\\n' + b'x' * (2 << 20) + b'\\nlast\\n')"
    async with kept_running(code, heard, may_restart=False):
        await heard.until(lambda lines: "last" in lines)

    assert heard.lines[0] == "\N{REPLACEMENT CHARACTER} bad"
    assert "(a line too long to show)" in heard.lines


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (-9, "killed by SIGKILL"), (-100, "killed by signal 100")],
)
def test_how_a_process_ended_is_told_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words
