"""Faults below a redis-server: a slow disk, a full disk, a clock that was set."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

SOURCE = Path(__file__).with_name("redis_faults.c")


class RedisFaults:
    """Faults of every redis-server that starts with `variables` in its environment; a context manager.

    Needs a C compiler. A server that is started again still has the faults that are set.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder for the library and for the file with the state."""
        self._library = folder / "redis_faults.so"
        self._file = folder / "redis_faults"

    @staticmethod
    def available() -> bool:
        """Return whether there is a compiler."""
        return shutil.which("cc") is not None

    @property
    def variables(self) -> dict[str, str]:
        """The environment that a server needs."""
        return {"LD_PRELOAD": str(self._library), "REDIS_FAULTS": str(self._file)}

    def fsync_takes(self, seconds: float) -> None:
        """Make each fsync that begins from now on take so many seconds more."""
        self._set(0, int(seconds * 1e6))

    def clock_is_off(self, seconds: float) -> None:
        """Set the clock to so many seconds after (or, if negative, before) the right time."""
        self._set(1, int(seconds * 1e6))

    def disk_is_full(self, *, full: bool) -> None:
        """Let all writes to files fail from now on, or succeed again."""
        self._set(2, int(full))

    def __enter__(self) -> Self:
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"], check=True
        )
        self._file.write_bytes(bytes(24))
        with self._file.open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), 24)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.close()

    def _set(self, place: int, value: int) -> None:
        struct.pack_into("q", self._state, place * 8, value)
