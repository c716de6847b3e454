"""Keep the last confirmed messages for a while, to send them again if a failover loses them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Final

from faust_redis.producing.appends import Destination, OutgoingEntry

__all__ = ["RecentEntries"]

#: The most messages kept, and the most bytes of their keys, values and headers.
KEPT_ENTRIES: Final = 10_000
KEPT_BYTES: Final = 8 * 1024 * 1024


class RecentEntries:
    """The last messages that Redis has confirmed to one producer.

    An agent's outputs are not kept where all partitions are on one server: one that loses an output has also
    lost the later ack of its event, which is delivered again.
    """

    def __init__(self, seconds: float, *, is_one_server: bool) -> None:
        """Begin with none.

        Args:
            seconds: Seconds for which a message is kept; 0 to keep none.
            is_one_server: Whether one server has all partitions.
        """
        self._seconds = seconds
        self._is_one_server = is_one_server
        self._kept: deque[tuple[float, int, OutgoingEntry]] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entries: Iterable[OutgoingEntry]) -> None:
        """Keep messages of one partition, in the order they were added to it."""
        if not self._seconds:
            return
        now = monotonic()
        for entry in entries:
            if entry.source is not None and self._is_one_server:
                continue
            size = sum(map(len, entry.fields))
            self._kept.append((now, size, entry))
            self._bytes += size
        self._trim(now)

    def take(self, destination: Destination, after: int) -> list[OutgoingEntry]:
        """Remove and return the kept messages of a partition that come after a sequence, in order."""
        taken: list[OutgoingEntry] = []
        kept: deque[tuple[float, int, OutgoingEntry]] = deque()
        for each in self._kept:
            _, size, entry = each
            if entry.target.destination is destination and entry.sequence > after:
                taken.append(entry._replace(callbacks=None))  # they were called at the first confirmation
                self._bytes -= size
            else:
                kept.append(each)
        self._kept = kept
        return taken

    def clear(self) -> None:
        """Forget all messages."""
        self._kept.clear()
        self._bytes = 0
        self._stop_timer()

    def _trim(self, now: float) -> None:
        kept = self._kept
        while kept and (
            len(kept) > KEPT_ENTRIES or self._bytes > KEPT_BYTES or kept[0][0] < now - self._seconds
        ):
            _, size, entry = kept.popleft()
            self._bytes -= size
            entry.target.destination.forgotten = entry.sequence
        if kept and self._timer is None:
            # Texts of users must not stay in the memory of a process that sends nothing more.
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._trim(monotonic())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
