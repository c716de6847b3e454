"""Child processes of ``parley up``: started, listened to, started again when they die, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

# The first restart comes at once enough to go unnoticed; a child that dies again and again costs little.
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A child that lived this long has recovered: its next death is a first one again. Longer than it needs to
# start and to meet the message that killed it before.
_RECOVERED_SECONDS = 60.0
# Longer lines are cut rather than kept in memory without bound.
_LINE_LIMIT_BYTES = 1 << 20

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """Return a function for a new process that makes ``sig`` come when its parent ends, even by kill -9."""
    parent = os.getpid()

    def in_child() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before the line above took effect

    return in_child


def die_with_our_parent(sig: signal.Signals) -> bool:
    """Make ``sig`` come to this very process when its parent ends; return whether that is still to come."""
    parent = os.getppid()
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    return os.getppid() == parent


class Child:
    """One process that is kept running.

    Attributes:
        name: what its lines are marked with.
        process: the process at work, None before the first start.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        say: Callable[[str, str], None],
        on_death: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """Describe the process; ``keep_running`` starts it.

        Args:
            name: what its lines are marked with.
            command: asked at each start for the command line.
            environment: asked at each start for the environment.
            say: called with the name and each line the process prints.
            on_death: called with the process id before the process is started again.
        """
        self.name = name
        self.process: asyncio.subprocess.Process | None = None
        self._command = command
        self._environment = environment
        self._say = say
        self._on_death = on_death
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.returncode is None

    async def keep_running(self, may_restart: Callable[[int], bool]) -> None:
        """Start the process, and start it again each time it ends, until ``stop``.

        Args:
            may_restart: called with the exit status; False ends the loop.
        """
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping:
            started = time.monotonic()
            status = await self._run_once()
            if self._stopping or not may_restart(status):
                return
            if time.monotonic() - started > _RECOVERED_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._say(self.name, f"{describe_exit(status)}; starting again in {pause:g} s")
            if self._on_death is not None and self.process is not None:
                await self._on_death(self.process.pid)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def stop(self, patience: float) -> None:
        """Ask the process to end, and kill it when it does not within ``patience`` seconds."""
        self._stopping = True
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), patience)
        except TimeoutError:
            self._say(self.name, f"did not stop within {patience:g} s: killed")
            # The whole session of the child, so that what it may have started goes too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def _run_once(self) -> int:
        self.process = await asyncio.create_subprocess_exec(
            *self._command(),
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT_BYTES,
            # Ctrl-C goes to every process of the terminal's group: only ``up`` may hear it, to stop in order.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        if self._stopping:
            self.process.kill()
        assert self.process.stdout is not None, "stdout is a pipe"  # noqa: S101
        relay = asyncio.create_task(self._relay(self.process.stdout))
        status = await self.process.wait()
        # What is left in the pipe still belongs to this process; a grandchild may hold the pipe open.
        await asyncio.wait([relay], timeout=1)
        relay.cancel()
        return status

    async def _relay(self, lines: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await lines.readline()
            except ValueError:
                self._say(self.name, "(a line too long to show)")
                continue
            if not line:
                return
            self._say(self.name, line.decode("utf-8", "replace").rstrip())


def describe_exit(status: int) -> str:
    """Return in words how a process ended, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
