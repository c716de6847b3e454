"""Raise the limit of open files and connections of this process."""

from __future__ import annotations

import resource

# A larger limit costs memory in some kernels, and other limits apply before it is reached.
_ENOUGH = 1_048_576


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard limit; return the new limit.

    The soft limit is 1024 on most systems, for programs that use select(), so 1,200 silent connections would
    be enough to lock out all other clients.
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
