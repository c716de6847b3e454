"""Write several frames of a socket with one system call, which costs more than making the frames."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

#: Bytes that are kept back at most. Much less than the buffer of a transport, whose flow control sees them
#: only afterwards.
MOST_BYTES: Final = 32 * 1024


class Cork(asyncio.Transport):
    """Stand between the frame writer of a socket and its transport.

    As a context manager it keeps back the data written inside and writes them together at the end, also when
    the block is cancelled, because their writer counts them as sent. Otherwise data pass at once, such as the
    frame that closes the socket. The blocks of several tasks must not overlap.
    """

    __slots__ = ("_bytes", "_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] | None = None
        self._bytes = 0

    def __enter__(self) -> Self:
        self._held = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()
        self._held = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write data, or keep them back."""
        if self._held is None:
            self._transport.write(data)
            return
        self._held.append(bytes(data))
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self._pass_on()

    def is_closing(self) -> bool:
        """Return whether the transport closes or is closed."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the transport."""
        return self._transport.get_extra_info(name, default)

    def _pass_on(self) -> None:
        held, self._held, self._bytes = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))


def corked(socket: web.WebSocketResponse) -> Cork:
    """Put a cork between an open socket and its transport, and return it.

    Raises:
        RuntimeError: the socket is not open.
    """
    writer = socket._writer
    if writer is None:
        raise RuntimeError("the handshake of the socket is not done")
    writer.transport = cork = Cork(writer.transport)
    return cork
