"""Frames of a WebSocket, byte by byte."""

from __future__ import annotations

import struct

#: Opcodes.
TEXT, CONTINUATION, PING = 1, 0, 9


def wire_frame(opcode: int, size: int, *, final: bool = True, masked: bool = True) -> bytes:
    """Return a frame as a client sends it."""
    first = (0x80 if final else 0) | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (b"abcd" if masked else b"") + b"x" * size
