"""Reserve the data folder of an embedded Redis, for the process that runs it and for the server itself.

Two locks (flock), which Linux releases even after a kill -9:

    the folder       held by the process that runs the server: a second one is refused
    redis.log        held by the server, which inherits it with its output: it may outlive the other process
                     by some time, for instance while it writes its file, and two servers would damage that
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.errors import EmbeddedRedisError

__all__ = ["DataFolder"]

_LOG_FILE: Final = "redis.log"
_SOCKETS: Final = "redis*.sock"
#: Seconds for which a server of an earlier run may still end by itself, then it is killed.
_OLD_SERVER_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
#: Errors that no other folder helps against.
_OF_THIS_PROCESS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_ANOTHER_FOLDER: Final = "choose another folder with PARLEY_DATA_DIR"


class DataFolder:
    """The folder of one embedded Redis.

    Attributes:
        path: where it is; made by ``reserve`` if absent.
    """

    def __init__(self, path: Path) -> None:
        """Store the path; nothing is made yet."""
        self.path = path
        self._lock: int | None = None

    @property
    def is_reserved(self) -> bool:
        """Whether this process has locked the folder."""
        return self._lock is not None

    @property
    def log(self) -> Path:
        """The file with the output of the last server."""
        return self.path / _LOG_FILE

    def reserve(self, say: Callable[[str], None]) -> None:
        """Lock the folder until ``release``, and wait for the end of a server that an earlier run has left.

        Args:
            say: called with a line before a longer wait.

        Raises:
            EmbeddedRedisError: another process uses the folder, or it can't be written to.
        """
        with self._explained():
            self._lock = self._lock_folder()
            self._await_old_server(say, _OLD_SERVER_SECONDS)
            for old in self.path.glob(_SOCKETS):
                if old.is_socket():
                    old.unlink()

    def restore(self) -> bool:
        """Make and lock the folder again if it was deleted; return whether it was.

        Raises:
            EmbeddedRedisError: another process uses the folder, or it can't be written to.
        """
        assert self._lock is not None, "reserve() comes first"  # noqa: S101
        with self._explained():
            if self._is_same(self._lock):
                return False
            deleted, self._lock = self._lock, self._lock_folder()
            os.close(deleted)
            return True

    @contextlib.contextmanager
    def output(self) -> Iterator[BinaryIO]:
        """Open the empty log for a new server, which holds its lock as long as it has it as its output.

        Raises:
            EmbeddedRedisError: the file can't be written.
        """
        with self._explained():
            # What remains of the last server is at most a child that rewrites its file.
            self._await_old_server(lambda _line: None, 0.0)
            log = self.log.open("ab")
        with log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.truncate(0)
            yield log

    def release(self) -> None:
        """Unlock the folder; may be called twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _lock_folder(self) -> int:
        while True:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)  # it may have existed with other rights
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise EmbeddedRedisError(
                    f"another Parley uses {self.path}", ("stop it", "choose another PORT", _ANOTHER_FOLDER)
                ) from None
            if self._is_same(lock):
                return lock
            os.close(lock)  # deleted in the meantime

    def _is_same(self, lock: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(lock), self.path.stat())
        return False

    def _await_old_server(self, say: Callable[[str], None], patience: float) -> None:
        """Return once no server holds the log; after ``patience`` seconds its holders are killed."""
        begun = time.monotonic()
        has_said = False
        with self.log.open("ab") as log:
            while True:
                try:
                    fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waited = time.monotonic() - begun
                else:
                    return
                if waited >= patience:
                    for pid in _writers(os.fstat(log.fileno())):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                elif waited > 1 and not has_said:
                    has_said = True
                    say(f"The Redis of an earlier run is still ending in {self.path}")
                time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the folder into one with the ways out."""
        try:
            yield
        except OSError as exc:
            if exc.errno in _OF_THIS_PROCESS:
                raise
            at = exc.filename or self.path
            raise EmbeddedRedisError(
                f"the data folder {self.path} can't be used: {os.strerror(exc.errno or 0)}: {at}",
                (_ANOTHER_FOLDER, "set REDIS_URL to your own Redis"),
            ) from exc


def _writers(log: os.stat_result) -> Iterator[int]:
    """Yield the ids of the other processes whose output goes to this file."""
    for process in Path("/proc").glob("[0-9]*"):
        for descriptor in ("1", "2"):
            # Not ours, or ended meanwhile.
            with contextlib.suppress(OSError):
                is_writer = os.path.samestat((process / "fd" / descriptor).stat(), log)
                if is_writer and int(process.name) != os.getpid():
                    yield int(process.name)
                    break
