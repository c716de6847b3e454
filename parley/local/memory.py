"""Choose the memory limits of the embedded Redis, also for clients that do not read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: Part of the memory of the machine or container: the rest is for the web, the agents, and the copies that
#: Redis makes of its pages while it rewrites its file.
_PART: Final = 2
#: With less, Redis is full before anybody has sent a message.
_LEAST_BYTES: Final = 128 << 20
#: Bytes that a client may leave unread, as a part of ``maxmemory`` and at least: a web process reads several
#: whole sessions at a time, and is cut off where they do not fit.
_OUTPUT_PART: Final = 4
_LEAST_OUTPUT_BYTES: Final = 64 << 20
#: Seconds that half of that may stay unread.
_OUTPUT_SECONDS: Final = 30

#: Files with the container's limit in bytes, or a word for no limit: of cgroups 2 and 1.
_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MEMINFO: Final = Path("/proc/meminfo")


def maxmemory_bytes(chosen: int) -> int:
    """Return the bytes for ``maxmemory``: the setting, or if 0, a share of the available memory."""
    return chosen or max(_LEAST_BYTES, available_bytes() // _PART)


def output_limit(maxmemory: int) -> str:
    """Return ``client-output-buffer-limit`` for the clients of a server with ``maxmemory`` bytes."""
    hard = max(_LEAST_OUTPUT_BYTES, maxmemory // _OUTPUT_PART)
    return f"normal {hard} {hard // 2} {_OUTPUT_SECONDS}"


def available_bytes() -> int:
    """Return the memory of this machine, or the limit of its container if that is lower."""
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text("ascii").splitlines())
    found = [int(lines["MemTotal"].split()[0]) * 1024]
    for file in _LIMITS:
        try:
            found.append(int(file.read_text("ascii")))
        except (OSError, ValueError):  # no such cgroup, or no limit
            continue
    return min(found)
