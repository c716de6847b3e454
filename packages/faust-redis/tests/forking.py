"""Starts workers by ``tests.fork_server``, as ``subprocess.Popen`` would start ``python -m faust``."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fork_server import LARGEST_REQUEST

__all__ = ["ForkedProcess", "fork"]


class ForkedProcess:
    """A process of the fork server, with the methods of ``Popen`` that the tests use.

    Attributes:
        pid: Its process id.
        returncode: Its exit status, or the negative number of the signal that ended it; None while it runs.
    """

    def __init__(self, server: _ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Return ``returncode`` as it is now."""
        self._server.read(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return ``returncode``.

        Raises:
            TimeoutExpired: It still runs after so many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self._server.read(0.05)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class _ForkServer:
    """The server and its processes; it ends when this process does."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=Path(__file__).parents[1], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._lock = threading.RLock()
        self._running: dict[int, ForkedProcess] = {}

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], output: int) -> ForkedProcess:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps([arguments, dict(environment)]).encode()], [output])
            while not isinstance(reply := self._receive(), int):
                pass
            process = self._running[reply] = ForkedProcess(self, reply)
            return process

    def read(self, seconds: float) -> None:
        """Take in the ends of processes, and wait for one at most so long."""
        with self._lock:
            while select.select([self._socket], [], [], seconds)[0]:
                self._receive()
                seconds = 0

    def _receive(self) -> int | None:
        """Return the process id of a process that has started, or None after the end of one."""
        received = self._socket.recv(LARGEST_REQUEST)
        assert received, "the fork server has ended"
        match json.loads(received):
            case [pid, status]:
                self._running.pop(pid).returncode = status
                return None
            case pid:
                return int(pid)


_server: _ForkServer | None = None
_starting = threading.Lock()


def fork(arguments: Sequence[str], environment: Mapping[str, str], output: int) -> ForkedProcess:
    """Start ``faust <arguments>`` in this environment; both its streams go to the descriptor ``output``."""
    global _server
    with _starting:
        _server = _server or _ForkServer()
    return _server.fork(arguments, environment, output)
