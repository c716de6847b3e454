"""Send heartbeats to ``parley up``, which ends and restarts a process whose event loop no longer turns.

A heartbeat is one byte in a pipe that ``up`` gives to each part; the variable ``PARLEY_HEARTBEAT_FD`` holds
its descriptor, and ``PARLEY_HEARTBEAT_SECONDS`` the time between two. A pipe needs no port, no Redis and no
free descriptor, and no other process can write to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
from typing import Final

__all__ = [
    "DESCRIPTOR_VARIABLE",
    "HEARTBEAT_SECONDS",
    "INTERVAL_VARIABLE",
    "LONGEST_SECONDS",
    "begin",
    "interval",
]

DESCRIPTOR_VARIABLE: Final = "PARLEY_HEARTBEAT_FD"
INTERVAL_VARIABLE: Final = "PARLEY_HEARTBEAT_SECONDS"
#: Seconds between heartbeats: a small part of every time-out that makes sense.
HEARTBEAT_SECONDS: Final = 0.5
#: Seconds between heartbeats under a long time-out: each wakes two processes.
LONGEST_SECONDS: Final = 3.0
#: Heartbeats in the time of a time-out, at least.
_HEARTBEATS: Final = 10
_STDERR: Final = 2
_begun: set[int] = set()


def interval(hang_timeout: float) -> float:
    """Return the seconds between heartbeats for a time-out in seconds, which is 0 for none."""
    if not hang_timeout:
        return LONGEST_SECONDS
    return max(HEARTBEAT_SECONDS, min(LONGEST_SECONDS, hang_timeout / _HEARTBEATS))


def begin(loop: asyncio.AbstractEventLoop) -> None:
    """Send heartbeats as long as an event loop turns; without ``parley up``, or again, do nothing.

    SIGABRT, by which ``up`` ends a process that hangs, then prints a traceback.
    """
    chosen = os.environ.get(DESCRIPTOR_VARIABLE)
    if chosen is None:
        return
    # To the descriptor, because Faust replaces sys.stderr.
    faulthandler.enable(file=_STDERR, all_threads=False)
    descriptor = int(chosen)
    if descriptor in _begun:
        return
    _begun.add(descriptor)
    with contextlib.suppress(OSError):
        os.set_blocking(descriptor, False)
        seconds = float(os.environ.get(INTERVAL_VARIABLE, HEARTBEAT_SECONDS))
        loop.call_soon(_beat, loop, descriptor, seconds)


def _beat(loop: asyncio.AbstractEventLoop, descriptor: int, seconds: float) -> None:
    try:
        os.write(descriptor, b".")
    except BlockingIOError:
        pass  # ``up`` was stopped, and reads the others later
    except OSError:
        return
    loop.call_later(seconds, _beat, loop, descriptor, seconds)
