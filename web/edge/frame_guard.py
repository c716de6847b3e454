"""Check the frames of one WebSocket before the parser: masks, sizes and unfinished messages.

aiohttp's parser accepts unmasked frames, and holds an unfinished message without limit and without exposing
its size. This guard reads only the frame headers; it sends and closes nothing.
"""

from __future__ import annotations

from typing import Final

from aiohttp import WSCloseCode

# Extra bytes for each piece of an unfinished frame: one object of the parser.
_PIECE_BYTES: Final = 64
# A header has 2 bytes, up to 8 of length and 4 of mask.
_HEADER_BYTES: Final = 14


class FrameViolation(Exception):
    """A frame that violates the protocol or a limit.

    Attributes:
        code: the code to close the socket with.
        reason: the reason in words, for a metric and the close frame.
    """

    def __init__(self, code: WSCloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameGuard:
    """Read the frame headers of one socket.

    Attributes:
        begun: the number of messages begun so far.
        held: bytes that the parser holds for an unfinished message, including its objects; 0 without one.
    """

    __slots__ = (
        "_control",
        "_final",
        "_header",
        "_left",
        "_length",
        "_limit",
        "_message",
        "_pieces",
        "begun",
        "held",
    )

    def __init__(self, limit: int) -> None:
        """Store the maximum bytes of a message."""
        self._limit = limit
        self._header = b""
        self._left = 0  # bytes of the current payload that are still to come
        self._length = 0  # bytes of the current payload
        self._control = False
        self._final = True
        self._message = 0  # bytes of the fragments before the current frame
        self._pieces = 0
        self.begun = 0
        self.held = 0

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun but not ended."""
        return not self._final or self._left > 0 or bool(self._header)

    def feed(self, data: bytes) -> None:
        """Read a piece of data.

        Raises:
            FrameViolation: a frame without a mask, or a message above the limit.
        """
        size = len(data)
        # Most pieces are one short frame.
        if (
            not self.held
            and size >= 6
            and self._final
            and data[0] & 0x80
            and data[1] & 0x80
            and size == 6 + (data[1] & 0x7F)
            and size < 6 + 126
            and size <= self._limit
        ):
            self.begun += 1
            return
        position = 0
        while position < size:
            if self._left:
                taken = min(self._left, size - position)
                self._left -= taken
                position += taken
                if not self._left:
                    self._end_frame()
            else:
                position = self._read_header(data, position)
        self._count(size)

    def _read_header(self, data: bytes, position: int) -> int:
        """Read a complete or partial header; return the position of its payload."""
        known = len(self._header)
        header = self._header + data[position : position + _HEADER_BYTES - known]
        if len(header) < 2:
            self._header = header
            return len(data)
        if not header[1] & 0x80:
            raise FrameViolation(WSCloseCode.PROTOCOL_ERROR, "a frame of a client must be masked")
        flag = header[1] & 0x7F
        extra = 8 if flag == 127 else 2 if flag == 126 else 0
        needed = 2 + extra + 4
        if len(header) < needed:
            self._header = header
            return len(data)
        self._header = b""
        self._begin_frame(header[0], int.from_bytes(header[2 : 2 + extra], "big") if extra else flag)
        return position + needed - known

    def _begin_frame(self, first: int, length: int) -> None:
        self._control = bool(first & 0x08)
        self._length = self._left = length
        if not self._control:
            if self._final:
                self.begun += 1
                self._message = 0
            self._final = bool(first & 0x80)
            if self._message + length > self._limit:
                raise FrameViolation(WSCloseCode.MESSAGE_TOO_BIG, "the message is too large")
        if not length:
            self._end_frame()

    def _end_frame(self) -> None:
        self._pieces = 0
        if not self._control:
            self._message = 0 if self._final else self._message + self._length

    def _count(self, size: int) -> None:
        if not self.unfinished:
            self.held = 0
            return
        self._pieces += 1
        arrived = self._length - self._left if self._left else 0
        self.held = self._message + arrived + len(self._header) + _PIECE_BYTES * self._pieces
