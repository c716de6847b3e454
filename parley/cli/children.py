"""Child processes of ``parley up``: start them, print their output, restart them, and stop them together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

# Pauses before a restart: the first too short to notice, the longest long enough to save the processor when a
# child dies again and again.
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A child that ran for this long starts again with the shortest pause. Longer than it needs to start and to
# receive the message that killed it before.
_RECOVERED_SECONDS = 60.0
# Longer lines are dropped, so that they do not fill the memory.
_LINE_LIMIT_BYTES = 1 << 20

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """Return a ``preexec_fn`` that makes Linux send ``sig`` when the parent ends, even by kill -9."""
    parent = os.getpid()

    def in_child() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before the line above took effect

    return in_child


def die_with_our_parent(sig: signal.Signals) -> bool:
    """Make Linux send ``sig`` to this process when its parent ends; return whether the parent still runs."""
    parent = os.getppid()
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    return os.getppid() == parent


class Child:
    """One process that is restarted until it is stopped.

    Attributes:
        name: the prefix of its lines.
        process: the running process, None before the first start.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        say: Callable[[str, str], None],
    ) -> None:
        """Prepare the process; ``keep_running`` starts it.

        Args:
            name: the prefix of its lines.
            command: returns the command line for each start.
            environment: returns the environment for each start.
            say: called with the name and each line that the process prints.
        """
        self.name = name
        self.process: asyncio.subprocess.Process | None = None
        self._command = command
        self._environment = environment
        self._say = say
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.returncode is None

    async def keep_running(self, may_restart: Callable[[int], bool]) -> None:
        """Start the process, and restart it each time it ends, until ``stop``.

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
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def stop(self, timeout: float) -> None:
        """Send SIGTERM to the process, and SIGKILL if it still runs after ``timeout`` seconds."""
        self._stopping = True
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), timeout)
        except TimeoutError:
            self._say(self.name, f"did not stop within {timeout:g} s: killed")
            # The whole session of the child, with the processes that it has started.
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
            # Ctrl-C reaches every process of the terminal's group; only ``up`` may get it, to stop in order.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        if self._stopping:
            self.process.kill()
        assert self.process.stdout is not None, "stdout is a pipe"  # noqa: S101
        relay = asyncio.create_task(self._relay(self.process.stdout))
        status = await self.process.wait()
        # Print the rest of the output, but do not wait long: a grandchild may hold the pipe open.
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
    """Return a description of a process's end, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
