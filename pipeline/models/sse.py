"""Parse server-sent events: bytes in, events out; no I/O.

The format is that of the HTML standard (lines end with CRLF, LF or CR; several ``data`` lines are one text; a
line that starts with a colon is a comment), with additions for what model servers send:

- an event without the blank line after it counts at the end of a stream;
- a complete JSON object in a ``data`` line is an event of its own when another one follows without a blank
  line between them;
- a field ``error`` is an event of that name (llama.cpp);
- a line that begins with ``{`` is an event of its own: an error that a server or a proxy inserted without the
  event format, or a stream of JSON lines;
- ``[DONE]`` may stand without a field, and names of fields are recognised in any case, after white space.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.models.failures import MAX_RESPONSE_BYTES, endless

# Fields without use here, and comments.
_OTHER_FIELDS = (b"", b"id", b"retry")
_FIELDS = frozenset((b"data", b"event", b"error", *_OTHER_FIELDS))
_BARE_DONE = b"[DONE]"
_MAX_IGNORED = 200

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event.

    Attributes:
        name: the value of the field ``event``, by default ``message``; ``error`` for a field ``error``.
        data: the ``data`` lines, joined by line feeds.
    """

    name: str
    data: bytes


class EventParser:
    """Split a stream of bytes into events, independent of the boundaries of its pieces.

    Args:
        max_bytes: the maximum size of one event.
    """

    def __init__(self, max_bytes: int = MAX_RESPONSE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._name = ""
        self._data: list[bytes] = []
        self._bare = False
        self._size = 0
        self._after_cr = False
        self._at_start = True
        #: The beginning of the lines that belong to no event, such as a proxy's page in the stream.
        self.ignored = b""

    def feed_plain(self, piece: bytes) -> list[bytes] | None:
        """Return the data of the events in ``piece`` if each of them is one ``data`` line and nothing else.

        Most pieces are like this, and to split them costs a fraction of reading their lines.

        Returns:
            None, with nothing taken, for any other piece, which is for ``feed``.
        """
        if not piece.startswith(b"data: "):
            return None
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n")
        if not piece.endswith(b"\n\n") or b"\r" in piece:
            return None
        if self._line or self._data or self._name or self._bare or len(piece) > self._max_bytes:
            return None
        events = piece[len(b"data: ") : -len(b"\n\n")].split(b"\n\ndata: ")
        if piece.count(b"\n") != 2 * len(events):
            return None
        self._after_cr = self._at_start = False
        return events

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that ``piece`` completes.

        Raises:
            ModelError: an event is longer than ``max_bytes``.
        """
        if not piece:
            return []
        if self._after_cr and piece.startswith(b"\n"):
            # The LF of a split CRLF, whose CR has already ended the line.
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

    def end(self) -> list[Event]:
        """Return the last event, which may lack its blank line and be cut short."""
        events = self._read([bytes(self._line), b""])
        self._line.clear()
        return events

    def _read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            if not line:
                self._finish(events)
                self._name, self._bare = "", False
            elif self._bare or line[:1] == b"{":
                self._read_bare(line, events)
            elif line == _BARE_DONE:
                self._finish(events)
                events.append(Event("message", line))
            else:
                if line[:5] == b"data:" and self._data and self._is_followed_by(line[5:].lstrip()):
                    self._finish(events)
                self._field(line)
        return events

    def _read_bare(self, line: bytes, events: list[Event]) -> None:
        """Read a line of JSON that has no field's name before it."""
        if not self._bare:
            self._finish(events)
        self._bare = True
        self._add(line)
        # A one-line document is complete; an indented one ends with its outermost brace.
        if line[-1:] == b"}" and (len(self._data) == 1 or line == b"}"):
            self._finish(events)
            self._bare = False

    def _finish(self, events: list[Event]) -> None:
        """End the event whose data was read, if there is any."""
        if self._data:
            events.append(self._event())
        self._data, self._size = [], 0

    def _is_followed_by(self, value: bytes) -> bool:
        """Return whether the ``data`` so far is complete, since ``value`` can't continue it."""
        # Between a closing and an opening brace JSON has a comma, so the two can't be parts of one value.
        return (
            len(self._data) == 1
            and self._data[0][:1] == b"{"
            and self._data[0].rstrip()[-1:] == b"}"
            and (value[:1] == b"{" or value.startswith(_BARE_DONE))
        )

    def _event(self) -> Event:
        return Event(self._name or "message", b"\n".join(self._data))

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field not in _FIELDS:
            field = field.strip().lower()
        if field == b"data":
            self._add(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"error":
            self._name = "error"
            self._add(value)
        elif field not in _OTHER_FIELDS and len(self.ignored) < _MAX_IGNORED:
            self.ignored += line[:_MAX_IGNORED] + b" "

    def _add(self, value: bytes) -> None:
        self._size += len(value) + 1
        if self._size > self._max_bytes:
            raise endless()
        self._data.append(value)
