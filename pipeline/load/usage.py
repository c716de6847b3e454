"""What processes use of a machine, as Linux tells it; where there is no /proc, nothing is known."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")

# By the command line of a process that `parley up` has started; in the order they are shown.
_KINDS = {
    "web": re.compile(r"-m pipeline\.cli web$"),
    "ingest": re.compile(r"-A agents\.ingest "),
    "enrich": re.compile(r"-A agents\.enrich "),
    "infer": re.compile(r"-A agents\.infer "),
    "deliver": re.compile(r"-A agents\.deliver "),
    "Redis": re.compile(r"redis-server"),
    "model of the test": re.compile(r"-m pipeline\.load\.model "),
}


@dataclass(frozen=True)
class Usage:
    """What processes of one kind used.

    Attributes:
        processes: how many there are.
        cpu: seconds of processor time.
        memory: bytes they hold (RSS).
    """

    processes: int
    cpu: float
    memory: int

    def since(self, before: Usage | None) -> Usage:
        """Return the same with the processor time that was used since an earlier look."""
        return Usage(self.processes, self.cpu - (before.cpu if before is not None else 0.0), self.memory)


def usage(pids: Iterable[int]) -> dict[str, Usage]:
    """Return what processes have used so far, and their descendants, by what they are."""
    found: dict[str, Usage] = {}
    for pid in (each for root in pids for each in process_tree(root)):
        kind = _kind(pid)
        if kind is not None:
            other = found.get(kind, Usage(0, 0.0, 0))
            found[kind] = Usage(
                other.processes + 1, other.cpu + cpu_seconds(pid), other.memory + resident(pid)
            )
    return {kind: found[kind] for kind in _KINDS if kind in found}


def process_tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = _read(pid, f"task/{pid}/children").split()
    return [pid, *(each for child in children for each in process_tree(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used so far; 0 if it is gone."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def resident(pid: int) -> int:
    """Return the bytes a process holds (RSS); 0 if it is gone."""
    found = re.search(r"^VmRSS:\s+(\d+)", _read(pid, "status"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _kind(pid: int) -> str | None:
    command = _read(pid, "cmdline").rstrip("\0 ").replace("\0", " ")
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(command)), None)


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text("utf-8", errors="replace")
    except OSError:
        return ""
