"""Start the parts of the service by a fork server, and wait for their end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence

from parley.local.fork_server import LENGTH
from parley.local.lifetimes import die_with_parent
from parley.local.liveness import Liveness
from pipeline.heartbeats import interval

__all__ = ["ForkServer", "ForkedProcess"]

_REPLY_BYTES = 1 << 16
_RESTART_CHECK_SECONDS = 0.5


class ForkedProcess:
    """One process that the fork server has started.

    Attributes:
        pid: its process id.
        returncode: its exit status, or the negative number of the signal that ended it; None while it runs.
    """

    def __init__(self, pid: int) -> None:
        """Store the process id of a process that runs."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the end; return ``returncode``."""
        await self._ended.wait()
        assert self.returncode is not None, "set before the event"  # noqa: S101
        return self.returncode

    def end(self, status: int) -> None:
        """Store the exit status."""
        self.returncode = status
        self._ended.set()

    def _signal(self, sig: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, sig)


class ForkServer:
    """Forks parts of the service from a process of its own, which the first fork starts.

    When that process is killed, Linux kills its parts, and the next fork starts another.
    """

    def __init__(self, hang_timeout: float = 0) -> None:
        """Start nothing yet.

        Args:
            hang_timeout: seconds without a sign of life after which ``until_hung`` returns; 0 for never.
        """
        self._liveness = Liveness(hang_timeout)
        self._interval = interval(hang_timeout)
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._starting: deque[asyncio.Future[ForkedProcess]] = deque()
        self._running: dict[int, ForkedProcess] = {}
        self._unread = b""
        self._sending = asyncio.Lock()
        self._is_read = False

    async def fork(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: int, heartbeats: int
    ) -> ForkedProcess:
        """Start ``parley <arguments>``; a caller that is cancelled leaves a process that ``close`` ends.

        Args:
            output: the descriptor for its stdout and stderr, which the caller closes.
            heartbeats: the descriptor for its heartbeats, which the caller closes.

        Raises:
            OSError: the fork server ended meanwhile, can't be started, or can't fork.
        """
        body = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        async with self._sending:
            requests = self._socket or self.start()
            self._listen(requests)
            started: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
            self._starting.append(started)
            # In a thread, because a server that still loads its libraries may not read a large environment.
            try:
                await asyncio.to_thread(_send, requests, body, (output, heartbeats))
            except asyncio.CancelledError:
                started.cancel()  # its process may start nevertheless, or the fork server end before
                raise
            except Exception:
                # The next reply would be taken for this request's.
                if started in self._starting:
                    self._starting.remove(started)
                raise
        return await started

    async def until_hung(self) -> int:
        """Return the process id of the fork server when it shows no sign of life for too long."""
        while True:
            server = self._server
            if server is None or self._socket is None:
                await asyncio.sleep(_RESTART_CHECK_SECONDS)
                continue
            await self._liveness.until_silent(server.pid)
            if server is self._server and self._socket is not None:
                return server.pid

    def close(self) -> None:
        """End the fork server, and with it every process that still runs; may be called twice."""
        if self._server is not None:
            self._server.kill()
            self._lose()

    def start(self) -> socket.socket:
        """Start the process, which then loads its libraries; the first fork does so otherwise.

        Needs no event loop. Call it in a thread that does not end, because Linux ends the process with it.

        Returns:
            The socket for requests to it.

        Raises:
            OSError: it can't be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "parley.local.fork_server", str(theirs.fileno()), str(self._interval)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches every process of the terminal's group; only ``up`` may get it.
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        self._socket = ours
        self._liveness.begin()
        return ours

    def _listen(self, requests: socket.socket) -> None:
        if not self._is_read:
            self._is_read = True
            asyncio.get_running_loop().add_reader(requests, self._read)

    def _read(self) -> None:
        assert self._socket is not None, "a reader ends with its socket"  # noqa: S101
        try:
            received = self._socket.recv(_REPLY_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            received = b""
        if not received:
            self._lose()
            return
        self._liveness.sign()
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            reply = json.loads(line)
            if "started" in reply:
                self._note_start(reply["started"])
            elif "refused" in reply:
                self._note_refusal(reply["refused"])
            elif "ended" in reply:
                self._running.pop(reply["ended"]).end(reply["status"])

    def _note_start(self, pid: int) -> None:
        process = self._running[pid] = ForkedProcess(pid)
        started = self._starting.popleft()
        if not started.done():
            started.set_result(process)

    def _note_refusal(self, number: int) -> None:
        started = self._starting.popleft()
        if not started.done():
            started.set_exception(OSError(number, os.strerror(number)))

    def _lose(self) -> None:
        """Mark every process as killed, because Linux kills them when the fork server ends."""
        if self._socket is None:
            return
        if self._is_read:
            self._is_read = False
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket, self._unread = None, b""
        if self._server is not None:
            self._server.wait()  # it closes its socket by ending
        for process in self._running.values():
            process.end(-signal.SIGKILL)
        self._running.clear()
        while self._starting:
            started = self._starting.popleft()
            if not started.done():
                started.set_exception(ConnectionResetError("the fork server was killed"))


def _send(requests: socket.socket, body: bytes, descriptors: Sequence[int]) -> None:
    socket.send_fds(requests, [LENGTH.pack(len(body))], descriptors)
    requests.sendall(body)
