"""Keep the last confirmed messages for a while, to send them again if a failover loses them."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final, NamedTuple

from faust_redis.producing.appends import Destination, OutgoingEntry

__all__ = ["RecentEntries"]

#: The most messages kept, and the most bytes of their keys, values and headers.
KEPT_ENTRIES: Final = 10_000
KEPT_BYTES: Final = 8 * 1024 * 1024


class _Group(NamedTuple):
    """The messages of one call.

    Attributes:
        at: When they were confirmed, by the monotonic clock.
        size: About how many bytes they hold.
    """

    at: float
    size: int
    entries: list[OutgoingEntry]


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
        self._kept: deque[_Group] = deque()
        self._count = 0
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entries: list[OutgoingEntry]) -> None:
        """Keep messages of one partition, in the order they were added to it."""
        if not self._seconds:
            return
        if self._is_one_server:
            entries = [entry for entry in entries if entry.source is None]
        if entries:
            size = sum([sum(map(len, entry.fields)) for entry in entries])
            now = monotonic()
            self._append(_Group(now, size, entries))
            self._trim(now)

    def take(self, destination: Destination, after: int) -> list[OutgoingEntry]:
        """Remove and return the kept messages of a partition that come after a sequence, in order."""
        taken: list[OutgoingEntry] = []
        groups = list(self._kept)
        self._kept.clear()
        self._count = self._bytes = 0
        for group in groups:
            if group.entries[0].target.destination is destination:
                # The callbacks were called at the first confirmation.
                taken += [entry._replace(callbacks=None) for entry in group.entries if entry.sequence > after]
            else:
                self._append(group)
        return taken

    def clear(self) -> None:
        """Forget all messages."""
        self._kept.clear()
        self._count = self._bytes = 0
        self._stop_timer()

    def _append(self, group: _Group) -> None:
        self._kept.append(group)
        self._count += len(group.entries)
        self._bytes += group.size

    def _trim(self, now: float) -> None:
        kept = self._kept
        while kept and (
            self._count > KEPT_ENTRIES or self._bytes > KEPT_BYTES or kept[0].at < now - self._seconds
        ):
            group = kept.popleft()
            self._count -= len(group.entries)
            self._bytes -= group.size
            last = group.entries[-1]
            last.target.destination.forgotten = last.sequence
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
