"""Notice that a process is alive but does nothing any more, by signs of life that stay away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

__all__ = ["Liveness", "describe_state", "used_ticks"]

#: Seconds between checks of a process that may hang.
_CHECK_SECONDS: Final = 0.5
#: Seconds between checks of one that has shown a sign of life, at most.
_LONGEST_CHECK_SECONDS: Final = 5.0
#: A check that is later by this shows that this process itself, or the machine, did not run meanwhile.
_LATE_SECONDS: Final = 1.0
#: The first sign may take this many times longer, because a process loads its modules first.
_FIRST_FACTOR: Final = 2.0
#: Letters of ``/proc/<pid>/stat``.
_STATES: Final = {
    "D": "waiting for a disk",
    "R": "running",
    "S": "sleeping",
    "T": "stopped by a signal",
    "Z": "ended",
    "t": "stopped by a debugger",
}
_TRACED: Final = "t"


class Liveness:
    """The signs of life of one process."""

    def __init__(self, seconds: float) -> None:
        """Store after how many seconds without a sign the process hangs; 0 for never."""
        self._seconds = seconds
        self._due: float | None = None

    def begin(self) -> None:
        """Record that the process was started; its first sign may take longer."""
        self._due = time.monotonic() + _FIRST_FACTOR * self._seconds

    def sign(self) -> None:
        """Record a sign of life."""
        self._due = time.monotonic() + self._seconds

    async def until_silent(self, pid: int) -> None:
        """Return when there has been no sign for too long, while this process itself ran.

        Time does not count in which this process was stopped or got no processor, or the machine slept; then
        the other processes had no chance either. Neither does time under a debugger.

        Args:
            pid: the process.
        """
        checked = time.monotonic()
        while True:
            pause = self._until_suspect(checked)
            await asyncio.sleep(pause)
            now = time.monotonic()
            late = now - checked > pause + _LATE_SECONDS
            checked = now
            if self._seconds == 0 or self._due is None:
                continue
            # A process that shows signs of life costs no look into /proc.
            is_suspect = now > self._due - self._seconds / 2
            if late or (is_suspect and _state(pid) == _TRACED):
                self._due = max(self._due, now + self._seconds)
            elif now > self._due:
                return

    def _until_suspect(self, now: float) -> float:
        """Return the seconds until the next check."""
        if self._due is None:
            return _CHECK_SECONDS
        if self._seconds == 0:
            return _LONGEST_CHECK_SECONDS
        return min(_LONGEST_CHECK_SECONDS, max(_CHECK_SECONDS, self._due - self._seconds / 2 - now))


def used_ticks(pid: int) -> tuple[str, int]:
    """Return the state of a process as one letter, and the clock ticks of processor time it has used."""
    fields = _stat(pid)
    return (fields[0], int(fields[11]) + int(fields[12])) if fields else ("", 0)


def describe_state(pid: int) -> str:
    """Return what Linux reports about a process, in words."""
    return _STATES.get(_state(pid), "in an unknown state")


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` behind the name, none of a process that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
