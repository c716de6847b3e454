"""End processes together with their parent, so that nothing stays behind when ``parley up`` is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """Return a function for a new process: it makes Linux send ``sig`` when the parent ends, even by kill -9.

    The parent is the process that calls this; pass the result as ``preexec_fn``, or call it after a fork.
    """
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
