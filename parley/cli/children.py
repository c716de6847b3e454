"""Child processes of ``parley up``: start them, print their output, restart them, and stop them together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import BinaryIO, Protocol, Self

from parley.cli.retries import Pauses
from parley.local.liveness import Liveness, describe_state

# Longer lines are dropped, so that they do not fill the memory.
_LINE_LIMIT_BYTES = 1 << 20
# Enough heartbeats for any pause of this process; a pipe holds no more.
_HEARTBEATS_BYTES = 1 << 16
# Seconds in which a process that hangs may print where, before it is killed.
_TRACEBACK_SECONDS = 1.0


class Process(Protocol):
    """A process that runs, or has ended."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def returncode(self) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None while it runs."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""

    async def wait(self) -> int:
        """Wait for its end; return ``returncode``."""


class Child:
    """One process that is restarted until it is stopped.

    Attributes:
        name: the prefix of its lines.
        process: the running process, None before the first start.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[int, int], Awaitable[Process]],
        say: Callable[[str, str], None],
        on_death: Callable[[int], Awaitable[None]] | None = None,
        *,
        hang_timeout: float = 0,
    ) -> None:
        """Prepare the process; ``keep_running`` starts it.

        Args:
            name: the prefix of its lines.
            start: called with the descriptors for the output and for heartbeats; starts a process that leads
                its own session.
            say: called with the name and each line that the process prints.
            on_death: called with the process id before the process is started again.
            hang_timeout: seconds without a heartbeat after which the process is ended; 0 for never.
        """
        self.name = name
        self.process: Process | None = None
        self._start = start
        self._say = say
        self._on_death = on_death
        self._hang_timeout = hang_timeout
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.returncode is None

    async def keep_running(self, may_restart: Callable[[int], bool]) -> None:
        """Start the process, and restart it each time it ends, until ``stop``.

        Args:
            may_restart: called with the exit status; False ends the loop.

        Raises:
            Exception: the start or ``on_death`` failed, other than by OSError; may be called again.
        """
        pauses = Pauses()
        while not self._stopping:
            pauses.begin()
            try:
                status = await self._run_once()
            except OSError as exc:
                status, ended = 1, f"could not be started: {exc}"
            else:
                ended = describe_exit(status)
            if self._stopping or not may_restart(status):
                return
            pause = pauses.next()
            self._say(self.name, f"{ended}; starting again in {pause:g} s")
            waiting: list[Awaitable[None]] = [asyncio.sleep(pause)]
            if self._on_death is not None and self.process is not None:
                waiting.append(self._on_death(self.process.pid))
            await asyncio.gather(*waiting)

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
        self.process = None
        liveness = Liveness(self._hang_timeout)
        with contextlib.ExitStack() as open_ends:
            output, heartbeats = open_ends.enter_context(_Pipe()), open_ends.enter_context(_Pipe())
            lines = asyncio.StreamReader(_LINE_LIMIT_BYTES)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(lines), output.reader
            )
            open_ends.callback(transport.close)
            open_ends.enter_context(_listening(heartbeats.reader, liveness))
            liveness.begin()
            self.process = await self._start(output.writer, heartbeats.writer)
            output.close_writer()
            heartbeats.close_writer()
            if self._stopping:
                self.process.kill()
            relay = asyncio.create_task(self._relay(lines))
            watch = asyncio.create_task(self._end_when_hung(self.process, liveness))
            try:
                status = await self.process.wait()
                # Print the rest of the output, but do not wait long: a grandchild may hold the pipe open.
                await asyncio.wait([relay], timeout=1)
            finally:
                relay.cancel()
                watch.cancel()
            return status

    async def _end_when_hung(self, process: Process, liveness: Liveness) -> None:
        await liveness.until_silent(process.pid)
        state = describe_state(process.pid)
        self._say(self.name, f"hangs: no sign of life for {self._hang_timeout:g} s, {state}; it is ended")
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGABRT)
            await asyncio.sleep(_TRACEBACK_SECONDS)
            process.kill()

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


class _Pipe:
    """A pipe to this process; a context manager that closes what is still open."""

    def __init__(self) -> None:
        """Open both ends.

        Raises:
            OSError: no descriptor is left.
        """
        read, self.writer = os.pipe()
        self.reader = os.fdopen(read, "rb", 0)
        self._is_writable = True

    def close_writer(self) -> None:
        """Close this process's descriptor of the end that another process writes to."""
        if self._is_writable:
            self._is_writable = False
            os.close(self.writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close_writer()
        self.reader.close()


@contextlib.contextmanager
def _listening(heartbeats: BinaryIO, liveness: Liveness) -> Iterator[None]:
    """Record the heartbeats that arrive during the block."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if os.read(heartbeats.fileno(), _HEARTBEATS_BYTES):
            liveness.sign()
        else:
            loop.remove_reader(heartbeats)  # the process has ended, or closed it

    loop.add_reader(heartbeats, read)
    try:
        yield
    finally:
        loop.remove_reader(heartbeats)


def describe_exit(status: int) -> str:
    """Return a description of a process's end, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
