"""The number of entries that one read asks for, from the size of recent ones."""

from __future__ import annotations

from typing import Final

from faust_redis.log.entries import Entry

__all__ = ["ReplySize"]

#: Entries of each stream that a read of many streams asks for, if twice the room suffices. Redis and a worker
#: do much of their work once for each stream.
ROW: Final = 8

#: Target for the bytes of one read, because Redis serves no other client while it assembles a reply.
READ_BYTES: Final = 32 * 1024 * 1024
#: Assumed bytes of an entry before the first one is read.
FIRST_ENTRY_BYTES: Final = 64 * 1024


class ReplySize:
    """Bounds the entries of a reply so that their bytes stay near ``READ_BYTES``."""

    def __init__(self, read_count: int) -> None:
        """Take the maximum number of entries per stream."""
        self._read_count = read_count
        self._entry_bytes = FIRST_ENTRY_BYTES

    def count(self, streams: int, room: int | None = None) -> int:
        """Return the maximum number of entries of each stream in a reply that covers this many streams.

        Args:
            room: Entries of all streams together for which there is space. Of many streams up to twice as
                many are asked for.
        """
        fitting = self._read_count if room is None else max(room // streams, min(ROW, 2 * room // streams))
        return max(1, min(fitting, self._read_count, READ_BYTES // (self._entry_bytes * streams)))

    def observe(self, entry: Entry) -> None:
        """Record the size of an entry; a large one affects the next few reads."""
        size = sum(map(len, entry[1] or ()))
        self._entry_bytes = max(1, size, self._entry_bytes * 3 // 4)
