"""A process that has loaded the service and forks into its parts.

Faust and aiohttp take more than a second of processor time to import, and the service's own modules a quarter
of one. The parts that are forked from here share what was imported once, in memory, too. A part that
restarts runs the modules as they are on disk: after a change it is executed instead, which takes longer.

The other end is ``parley.local.forks``, which starts ``python -m parley.local.fork_server <descriptor>
<seconds>``, with the time between two signs of life, and talks to it over a Unix socket. A request is a
4-byte length (big-endian), sent with the descriptors for the output and for the heartbeats, and that many
bytes of JSON: ``{"arguments": […], "environment": {…}}``. Each reply is a line: ``{"started": <pid>}`` or
``{"refused": <errno>}`` for each request, in order, ``{"ended": <pid>, "status": <status or -signal>}``, and
now and then ``{"alive": true}``. A request is refused while the machine has no process or descriptor left;
the parts that run are not affected.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import inspect
import json
import os
import select
import shlex
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, NoReturn

import setproctitle

from parley.local.lifetimes import die_with_parent
from pipeline.heartbeats import DESCRIPTOR_VARIABLE

LENGTH: Final = struct.Struct("!I")
#: Descriptors of a request.
DESCRIPTORS: Final = 2

_LIBRARIES: Final = (
    "aiohttp.web",
    "faust.app",
    "faust.assignor.leader_assignor",
    "faust.cli.faust",
    "faust.cli.worker",
    "faust.livecheck",
    "faust.sensors.monitor",
    "faust.tables.manager",
    "faust.web.drivers.aiohttp",
    "hiredis",
    "nltk.chat.eliza",
    "opentelemetry.trace",
    "orjson",
    "prometheus_client",
    "pydantic_settings",
    "redis.asyncio",
    "structlog",
    "uvloop",
)
#: Modules of the service that the agents share. Those of ``agents`` read the settings when they are imported.
_SHARED: Final = (
    "parley.cli",
    "pipeline.chat.answer_runs",
    "pipeline.chat.stop_signals",
    "pipeline.models.announcement",
    "pipeline.models.measured",
    "pipeline.worker.stage",
)
_SIGNALS: Final = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Request(NamedTuple):
    """One part to be started.

    Attributes:
        arguments: those of the command ``parley``.
        descriptors: for its stdout and stderr, and for its heartbeats; fewer when there was no room for them.
    """

    arguments: list[str]
    environment: dict[str, str]
    descriptors: list[int]

    @property
    def is_whole(self) -> bool:
        """Whether both descriptors arrived."""
        return len(self.descriptors) == DESCRIPTORS


def main() -> None:
    """Serve until the other end closes the socket; in a forked process, run the part."""
    # Collections find nothing while modules load, and take a fifth of the time.
    gc.disable()
    # Faust chooses its event loop when it is imported.
    os.environ["FAUST_LOOP"] = "uvloop"
    for library in _LIBRARIES:
        importlib.import_module(library)
    shared = _load_shared()
    # Faust asks for the module of each decorated function. The first call maps all modules to their files.
    inspect.getmodule(sys._getframe())
    # Memory that the collector does not touch stays shared.
    gc.freeze()
    setproctitle.setproctitle("parley fork server")
    _become(
        serve(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2])), is_current=_times(shared) == shared
    )


def _load_shared() -> dict[str, int]:
    """Import the service's modules; return when the file of each was changed, in ns since the epoch."""
    before = sys.modules.copy()
    try:
        for module in _SHARED:
            importlib.import_module(module)
    except Exception:
        # An error in a file that is being edited: each part that starts will report it.
        return {"": 0}
    files = (getattr(sys.modules[name], "__file__", None) for name in sys.modules.keys() - before.keys())
    return _times(file for file in files if file is not None)


def _times(files: Iterable[str]) -> dict[str, int]:
    """Return when files were last changed, in ns since the epoch; one that is gone is left out."""
    found = {}
    for file in files:
        with contextlib.suppress(OSError):
            found[file] = os.stat(file).st_mtime_ns
    return found


def serve(requests: socket.socket, heartbeat_seconds: float) -> Request:
    """Fork for each request; return that request in the forked process.

    Raises:
        SystemExit: the other end has closed the socket. Linux then kills all parts.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)  # the parts are stopped one by one, by the other end
    tie = die_with_parent(signal.SIGKILL)
    while True:
        readable, _, _ = select.select([requests.fileno(), woken], [], [], heartbeat_seconds)
        _send(requests, {"alive": True})
        if woken in readable:
            os.read(woken, 4096)
            _report_ended(requests)
        if requests.fileno() in readable:
            request = _receive(requests)
            try:
                pid = os.fork() if request.is_whole else -errno.EMFILE
            except OSError as exc:
                pid = -(exc.errno or errno.EAGAIN)
            if pid == 0:
                signal.set_wakeup_fd(-1)
                requests.close()
                os.close(woken)
                os.close(wake)
                tie()
                return request
            for descriptor in request.descriptors:
                os.close(descriptor)
            _send(requests, {"started": pid} if pid > 0 else {"refused": -pid})


def _become(request: Request, *, is_current: bool) -> NoReturn:
    """Turn this forked process into a part, with a session, signals, streams and environment of its own.

    Args:
        is_current: whether the loaded modules are those on disk.
    """
    gc.enable()
    os.setsid()
    for sig in _SIGNALS:
        signal.signal(sig, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output, heartbeats = request.descriptors
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.set_inheritable(heartbeats, True)  # also for a part that is executed
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(request.environment)
    os.environ[DESCRIPTOR_VARIABLE] = str(heartbeats)
    # The command line of an equal process, for processes that restart themselves.
    sys.orig_argv[:] = [sys.executable, "-m", "parley.cli", *request.arguments]
    if not is_current:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606
    sys.argv[:] = ["parley", *request.arguments]
    setproctitle.setproctitle(shlex.join(sys.argv))
    command = importlib.import_module("parley.cli")
    command.main(request.arguments)
    sys.exit()


def _receive(requests: socket.socket) -> Request:
    """Read one request.

    Raises:
        SystemExit: the other end has closed the socket.
    """
    head, descriptors, _, _ = socket.recv_fds(requests, LENGTH.size, DESCRIPTORS)
    if not head:
        raise SystemExit
    body = _read(requests, LENGTH.unpack(head + _read(requests, LENGTH.size - len(head)))[0])
    return Request(**json.loads(body), descriptors=descriptors)


def _read(requests: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        if not (piece := requests.recv(size - len(read))):
            raise SystemExit
        read += piece
    return bytes(read)


def _report_ended(requests: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _send(requests, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _send(requests: socket.socket, reply: dict[str, Any]) -> None:
    try:
        requests.sendall(json.dumps(reply).encode() + b"\n")
    except OSError:
        raise SystemExit from None


if __name__ == "__main__":
    main()
