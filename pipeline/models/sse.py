"""Server-sent events: bytes in, events out, no I/O.

The format is that of the HTML standard (lines end with CRLF, LF or CR; several `data` lines are one text; a
line that starts with a colon is a comment), except that an event without the blank line after it counts too:
servers forget that line at the end of a stream.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.models.failures import MAX_RESPONSE_BYTES, endless

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event.

    Attributes:
        name: what `event` said, `message` if nothing.
        data: the `data` lines, joined by line feeds; never empty.
    """

    name: str
    data: bytes


class EventParser:
    """Cuts a stream of bytes into events, wherever the pieces were split.

    Args:
        max_bytes: how long one event may get.
    """

    def __init__(self, max_bytes: int = MAX_RESPONSE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that `piece` completes.

        Raises:
            ModelError: an event is longer than `max_bytes`.
        """
        if not piece:
            return []
        if self._after_cr and piece.startswith(b"\n"):
            # The second half of a CRLF that was split; its CR has ended the line already.
            piece = piece[1:]
            self._after_cr = False
            if not piece:
                return []
        self._after_cr = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in piece:
            self._line += piece
            if self._size + len(self._line) > self._max_bytes:
                raise endless()
            return []
        if self._line:
            piece = bytes(self._line) + piece
            self._line.clear()
        *lines, rest = piece.split(b"\n")
        self._line += rest
        return self._read(lines)

    def end(self) -> Event | None:
        """Return the event that the stream's end left without its blank line; it may be cut short."""
        events = self._read([bytes(self._line), b""])
        self._line.clear()
        return events[0] if events else None

    def _read(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in lines:
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line)
            else:
                if self._data:
                    events.append(Event(self._name or "message", b"\n".join(self._data)))
                self._name, self._data, self._size = "", [], 0
        return events

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1
            if self._size > self._max_bytes:
                raise endless()
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
