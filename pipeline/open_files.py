"""How many files and connections this process may have open."""

from __future__ import annotations

import resource

# Above this a larger number costs memory in some kernels, and a process has other bounds by then.
_ENOUGH = 1_048_576


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one, as any process may; return what it is now.

    The soft limit is 1024 on most systems for the sake of programs that use select(): 1,200 silent
    connections are enough to shut out everybody else.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else _ENOUGH
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # a sandbox may forbid it
        return soft
    return wanted
