"""A WebSocket that calls its owner for each frame: no task, and no iteration of the event loop for it.

``picows`` parses and writes the frames. The client of aiohttp takes three to four times its processor time
for a turn, which the service on the same cores lacks.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    ws_connect,
)
from yarl import URL

# Bytes of the buffer that a socket has from its start on; it grows with its frames.
_BUFFER_BYTES = 4096
# A socket that breaks is a figure of the test, not a line for the terminal.
_LOG: Final = logging.getLogger(__name__)
_LOG.setLevel(logging.CRITICAL)


class SocketOwner(Protocol):
    """Gets the events of its socket; ``opened`` first, and nothing after ``lost``."""

    def opened(self, socket: ClientSocket) -> None:
        """Take the socket, before its first frame."""

    def took_text(self, data: bytes | memoryview) -> None:
        """Take a text frame; a memoryview is valid only during the call."""

    def took_binary(self) -> None:
        """Take a binary frame."""

    def took_pong(self) -> None:
        """Take the answer to a ping."""

    def writable(self, *, is_writable: bool) -> None:
        """Stop sending, because the peer does not read; or go on."""

    def lost(self, socket: ClientSocket) -> None:
        """Note that the socket is closed or broken."""


class ClientSocket(WSListener):
    """One socket; pings are answered."""

    def __init__(self, owner: SocketOwner) -> None:
        """Take the owner; ``connect`` opens the socket."""
        self._owner = owner
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []  # of a message in several frames
        self._is_binary = False  # whether that message is
        self._is_lost = False
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ending: asyncio.Task[None] | None = None
        self._is_abandoned = False

    @property
    def is_open(self) -> bool:
        """Whether frames may be sent."""
        return self._transport is not None and not self._is_lost

    def send(self, text: bytes) -> None:
        """Send a text frame; without an effect once the socket is closed."""
        if self._transport is not None and not self._is_lost:
            self._transport.send(WSMsgType.TEXT, text)

    def ping(self) -> None:
        """Send a ping; the owner gets its answer."""
        if self._transport is not None and not self._is_lost:
            self._transport.send_ping(b"")

    def abort(self) -> None:
        """Break the connection without a close frame, as a failing network does."""
        self._is_abandoned = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def close(self, seconds: float) -> None:
        """Close the socket; a peer that does not answer within ``seconds`` is cut off."""
        if self._transport is None:
            return
        if not self._gone.done():
            self._transport.send_close(WSCloseCode.OK)
            await asyncio.wait((self._gone,), timeout=seconds)
            self._transport.disconnect(graceful=False)
        if self._ending is not None:
            await self._ending

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Hand the socket to its owner; the library calls this and all methods below."""
        self._transport = transport
        if self._is_abandoned:
            transport.disconnect(graceful=False)
        else:
            self._owner.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hand a frame to the owner."""
        kind = frame.msg_type
        if kind is WSMsgType.TEXT and frame.fin:
            self._owner.took_text(frame.get_payload_as_memoryview())
        elif kind is WSMsgType.PONG:
            self._owner.took_pong()
        elif kind is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            self._end()  # nothing can be sent from now on
        else:
            self._take_part(kind, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Report the end to the owner, unless a close frame came before it."""
        self._gone.set_result(None)
        self._ending = asyncio.create_task(_retrieve(transport))
        self._end()

    def pause_writing(self) -> None:
        """Pass the pressure of a full buffer on."""
        self._owner.writable(is_writable=False)

    def resume_writing(self) -> None:
        """Pass the end of the pressure on."""
        self._owner.writable(is_writable=True)

    def _end(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._owner.lost(self)

    def _take_part(self, kind: WSMsgType, frame: WSFrame) -> None:
        if kind is not WSMsgType.CONTINUATION:
            self._parts, self._is_binary = [], kind is WSMsgType.BINARY
        self._parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            whole, self._parts = b"".join(self._parts), []
            if self._is_binary:
                self._owner.took_binary()
            else:
                self._owner.took_text(whole)


async def connect(
    owner: SocketOwner, url: URL, *, protocol: str | None = None, headers: Mapping[str, str] | None = None
) -> None:
    """Open a socket and hand it to its owner.

    Args:
        url: its address, ``http`` or ``https``.
        protocol: the subprotocol that the service must agree to; None for any.

    Raises:
        aiohttp.WSServerHandshakeError: the service answers with another status.
        aiohttp.ClientError: it does not speak the protocol, or not WebSocket.
        OSError: it can't be reached, or breaks the connection.

    After a cancellation the owner gets no socket.
    """
    asked = {**(headers or {}), **({"Sec-WebSocket-Protocol": protocol} if protocol else {})}
    socket = ClientSocket(owner)

    def listener(_request: WSUpgradeRequest, response: WSUpgradeResponse) -> ClientSocket:
        if protocol is not None and response.headers.get("Sec-WebSocket-Protocol") != protocol:
            raise aiohttp.ClientError(f"{url.path} does not speak {protocol}: try --protocol plain")
        return socket

    try:
        _, found = await ws_connect(
            listener,
            str(url).replace("http", "ws", 1),
            websocket_handshake_timeout=None,  # its caller has one for the whole
            max_frame_size=sys.maxsize,
            read_buffer_init_size=_BUFFER_BYTES,
            extra_headers=asked,
            logger_name=_LOG,
            # The transports of the running loop are as fast here.
            use_aiofastnet=False,
        )
    except asyncio.CancelledError:
        socket.abort()
        raise
    except WSHandshakeError as exc:
        raise _handshake_error(exc, url) from exc
    except WSError as exc:
        raise aiohttp.ClientError(str(exc)) from exc
    if found is None:
        raise ConnectionResetError("the connection broke during the handshake")


def _handshake_error(exc: WSHandshakeError, url: URL) -> aiohttp.ClientError:
    if exc.response is None:
        return aiohttp.ClientError(str(exc))
    request = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)
    return aiohttp.WSServerHandshakeError(request, (), status=int(exc.response.status), message=str(exc))


async def _retrieve(transport: WSTransport) -> None:
    """Take the reason why the library ended a connection, which is logged if nobody does."""
    with suppress(Exception):
        await transport.wait_disconnected()
