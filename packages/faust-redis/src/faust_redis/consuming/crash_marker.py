"""Keep the event whose code runs in a file, where the next owner finds the one that killed its worker.

A death alone blames every event that was at work. An event that crashes its process, takes all memory or
never returns to the event loop does so while its own code runs, so the file names its entry and no other.
The file is mapped into memory: a step of a coroutine costs two copies of some bytes, and the kernel keeps
them however the process ends. A worker on another machine, or with another ``datadir``, finds no file.
"""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections.abc import Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from types import coroutine
from typing import Any, Final, TypeVar, cast

from faust.types import TP
from mode import get_logger

__all__ = ["CrashMarker", "folder_of", "read_marker"]

logger = get_logger(__name__)
_T = TypeVar("_T")

#: Bytes of a file: more than the longest topic name, a partition and an offset.
SIZE: Final = 512
#: Seconds for which the file of a process that is gone is kept for its successor.
KEPT_SECONDS: Final = 300.0


class CrashMarker:
    """The file of this worker, made when it is first needed."""

    def __init__(self, folder: Path, member_id: str) -> None:
        """Take the folder, and the name of this worker in its consumer group."""
        self._folder = folder
        self._path = folder / member_id
        self._memory: mmap.mmap | bytearray | None = None

    async def run(self, tp: TP, offset: int, handling: Coroutine[Any, Any, _T]) -> _T:
        """Await a coroutine; while its own code runs, and not while it waits, the file names its entry.

        Cancellation reaches the coroutine, as with a plain ``await``.
        """
        if self._memory is None:
            self._memory = self._make()
        label = f"{tp.topic} {tp.partition} {offset}\n".encode()
        return cast(_T, await _steps(self._memory, label[:SIZE], handling))

    def remove(self) -> None:
        """Remove the file, because this worker stops in order."""
        if isinstance(self._memory, mmap.mmap):
            self._path.unlink(missing_ok=True)
        self._memory = None

    def _make(self) -> mmap.mmap | bytearray:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._remove_old()
            with self._path.open("w+b") as file:
                file.truncate(SIZE)
                return mmap.mmap(file.fileno(), SIZE)
        except OSError as error:
            logger.warning("no crash marker, so each death takes longer to explain: %s", error)
            return bytearray(SIZE)

    def _remove_old(self) -> None:
        limit = time.time() - KEPT_SECONDS
        for path in self._folder.glob(f"{socket.gethostname()}-*"):
            with suppress(OSError, ValueError):
                if path.stat().st_mtime < limit and not _is_alive(int(path.name.rsplit("-", 2)[1])):
                    path.unlink()


def folder_of(datadir: str | Path) -> Path:
    """Return the folder of the crash markers of an app's workers."""
    return Path(datadir) / "crash-markers"


def read_marker(folder: Path, member_id: str) -> tuple[TP, int] | None:
    """Return partition and offset of the entry whose code ran when a worker ended; None if there is none."""
    try:
        topic, partition, offset = (folder / member_id).read_bytes().partition(b"\n")[0].rsplit(b" ", 2)
        return TP(topic.decode(), int(partition)), int(offset)
    except (OSError, ValueError):
        return None


@coroutine
def _steps(
    memory: mmap.mmap | bytearray, label: bytes, handling: Coroutine[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Run a coroutine step by step, and mark each."""
    end, nothing = len(label), bytes(len(label))
    step: Any = handling.send
    argument: Any = None
    try:
        while True:
            memory[:end] = label
            try:
                awaited = step(argument)
            except StopIteration as returned:
                return returned.value
            finally:
                memory[:end] = nothing
            try:
                argument, step = (yield awaited), handling.send
            except BaseException as error:  # a cancellation, which is the coroutine's to handle
                argument, step = error, handling.throw
    finally:
        handling.close()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
