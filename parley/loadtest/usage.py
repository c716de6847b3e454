"""Measure the resources that processes use, from Linux' /proc; without /proc there are no figures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.local.liveness import used_ticks

_TICKS = os.sysconf("SC_CLK_TCK")

# By the command line of a process that ``parley up`` has started; in the order they are shown.
_KINDS = {
    "web": re.compile(r"parley(\.cli)? web$"),
    "agents": re.compile(r"parley(\.cli)? agent all$"),
    **{
        stage: re.compile(
            rf"parley(\.cli)? agent {stage}$|\[Faust:Worker\] -\w+- {stage} |-A agents\.{stage} "
        )
        for stage in ("ingest", "enrich", "infer", "deliver")
    },
    "Redis": re.compile(r"redis-server"),
    "model of the test": re.compile(r"-m parley\.loadtest\.model "),
    "generator": re.compile(r"-m parley\.loadtest\.processes$"),
}
# Those that run only for the test.
OF_THE_TEST: Final = ("model of the test", "generator")


@dataclass(frozen=True)
class ProcessUsage:
    """The resources used by processes of one kind.

    Attributes:
        processes: the number of processes.
        cpu: seconds of processor time.
        memory: bytes of memory (RSS).
    """

    processes: int
    cpu: float
    memory: int

    def since(self, before: ProcessUsage | None) -> ProcessUsage:
        """Return this usage with the processor time since an earlier sample."""
        return ProcessUsage(
            self.processes, self.cpu - (before.cpu if before is not None else 0.0), self.memory
        )


def usage(pids: Iterable[int]) -> dict[str, ProcessUsage]:
    """Return the usage of processes and their descendants so far, by kind."""
    return {kind: _together(each) for kind, each in by_kind(pids).items()}


def usage_here() -> dict[str, ProcessUsage]:
    """Return the usage of the generator so far: this process, and those that it has started."""
    return {"generator": _together([os.getpid(), *by_kind([os.getpid()]).get("generator", [])])}


def by_kind(pids: Iterable[int]) -> dict[str, list[int]]:
    """Return processes and their descendants by kind, leaving out unknown ones."""
    found: dict[str, list[int]] = {}
    for pid in (each for root in pids for each in process_tree(root)):
        found.setdefault(_kind(pid) or "", []).append(pid)
    return {kind: found[kind] for kind in _KINDS if kind in found}


def machine_seconds() -> float:
    """Return the CPU seconds that were not free on this machine since its start; 0 if unknown.

    Those that the host of a virtual machine gave to others are among them.
    """
    try:
        fields = Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, irq, softirq, stolen, *_ = [*map(int, fields), 0]
    return (user + nice + system + irq + softirq + stolen) / _TICKS


def process_tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = _read(pid, f"task/{pid}/children").split()
    return [pid, *(each for child in children for each in process_tree(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used so far; 0 if it is gone."""
    _, ticks = used_ticks(pid)
    return ticks / _TICKS


def resident(pid: int) -> int:
    """Return the bytes a process holds (RSS); 0 if it is gone."""
    found = re.search(r"^VmRSS:\s+(\d+)", _read(pid, "status"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _together(pids: list[int]) -> ProcessUsage:
    return ProcessUsage(len(pids), sum(map(cpu_seconds, pids)), sum(map(resident, pids)))


def _kind(pid: int) -> str | None:
    command = _read(pid, "cmdline").rstrip("\0 ").replace("\0", " ")
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(command)), None)


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text("utf-8", errors="replace")
    except OSError:
        return ""
