"""Print the lines of many processes, each prefixed with its name."""

from __future__ import annotations

import os
import queue
import threading

from pipeline.masking import clean_line, mask_known

# Enough for every start-up line and a burst of errors; beyond it lines are dropped, and counted.
_WAITING_LINES = 10_000
_NAME_WIDTH = 8


def _safe(line: str) -> str:
    """Return a line without control characters and secrets, because it may quote text from strangers."""
    return clean_line(mask_known(line)).replace(r"\x09", "\t")


class Console:
    """Writes lines from its own thread.

    The reader of the output may be slow or stop reading (a pipe that nobody drains). Writing outside
    the event loop keeps the service and its signal handlers running in this case.
    """

    def __init__(self, fd: int = 1) -> None:
        """Start the thread.

        Args:
            fd: the file descriptor to write to.
        """
        self._fd = fd
        self._dropped = 0
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING_LINES)
        self._thread = threading.Thread(target=self._write_all, name="console", daemon=True)
        self._thread.start()

    def say(self, name: str, line: str) -> None:
        """Print a line marked with a name; never waits."""
        self._put(f"{name:<{_NAME_WIDTH}}│ {_safe(line)}")

    def announce(self, line: str) -> None:
        """Print a line of ``parley up`` itself; never waits."""
        self._put(_safe(line))

    def close(self, patience: float = 0.5) -> None:
        """Wait up to ``patience`` seconds until the remaining lines are written."""
        try:
            self._lines.put(None, timeout=patience)
        except queue.Full:
            return
        self._thread.join(patience)

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                line = f"({self._dropped} lines dropped: the output was not read in time)\n{line}"
                self._dropped = 0
            rest = f"{line}\n".encode("utf-8", "replace")
            try:
                while rest:
                    # os.write, because a blocked buffered file would delay the end of the process.
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:
                continue  # the reader has gone; the service continues without it
