"""A process that has imported Faust once and forks into the workers of the tests.

The import takes half a second of processor time, more than most workers use in a test. Only Faust and the
transport are loaded before a fork; programs read the environment when they are imported. The other end is
``tests.forking``, which starts ``python -m tests.fork_server <descriptor>``. A request is a message of JSON,
sent with the descriptor for the output: the arguments of ``faust``, and the environment. The replies are the
process id of each worker, in order, and ``[process id, exit status or -signal]`` for each that has ended.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any, Final

LARGEST_REQUEST: Final = 1 << 17
_LIBRARIES: Final = (
    "faust.app",
    "faust.assignor.leader_assignor",
    "faust.cli.faust",
    "faust.cli.worker",
    "faust.livecheck",
    "faust.sensors.monitor",
    "faust.tables.manager",
    "faust.web.drivers.aiohttp",
    "faust_redis.driver",
    "redis.asyncio",
)
_PR_SET_PDEATHSIG: Final = 1


def serve(requests: socket.socket) -> tuple[list[str], dict[str, str], int]:
    """Fork for each request; return the request and the descriptor for the output in the forked process.

    Raises:
        SystemExit: The other end has closed the socket. Linux then kills the workers.
    """
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                body, descriptors, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, 1)
                if not body:
                    raise SystemExit
                pid = os.fork()
                if pid == 0:
                    _die_with_parent()
                    for registered in list(selector.get_map().values()):
                        os.close(registered.fd)
                    selector.close()
                    requests.detach()
                    return (*json.loads(body), descriptors[0])
                os.close(descriptors[0])
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                _reply(requests, pid)
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                _, status = os.waitpid(key.data, 0)
                _reply(requests, [key.data, os.waitstatus_to_exitcode(status)])


def _reply(requests: socket.socket, reply: Any) -> None:
    try:
        requests.send(json.dumps(reply).encode())
    except OSError:
        raise SystemExit from None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve until the other end closes the socket; in a forked process, run the command ``faust``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in _LIBRARIES:
        importlib.import_module(library)
    # Memory that the collector does not touch stays shared.
    gc.freeze()
    arguments, environment, output = serve(socket.socket(fileno=int(sys.argv[1])))
    gc.unfreeze()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environment)
    if "--datadir" in arguments:
        # Faust takes the option from the command line when it is imported, which was before the fork.
        os.environ["APP_DATADIR"] = arguments[arguments.index("--datadir") + 1]
    # Faust looks for the app in the list that was ``sys.argv`` when it was imported.
    sys.argv[:] = ["faust", *arguments]
    importlib.import_module("faust.cli.faust").cli()


if __name__ == "__main__":
    main()
