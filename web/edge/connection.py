"""Handle one connection: aiohttp's protocol with limits for clients that send no valid request."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, cast

from aiohttp import WSCloseCode, hdrs, web
from aiohttp.http import WebSocketReader
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

from pipeline.chat.compact_json import compact_json
from pipeline.hosts import is_loopback
from web import limits
from web.edge.connections import Connections, State
from web.edge.frame_guard import FrameGuard, FrameViolation
from web.edge.headers import HEADERS
from web.edge.incidents import Incidents
from web.limits.addresses import Addresses

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: parley\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
_CLOSE_FRAME: Final = 0x88

_Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Edge:
    """The state that all connections of a process share.

    Attributes:
        read_limit: maximum bytes of a message that is read to its end.
        sockets_of: the number of sockets by address.
    """

    connections: Connections
    incidents: Incidents
    addresses: Addresses
    read_limit: int
    sockets_of: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def socket_place(self, address: str) -> Iterator[bool]:
        """Reserve a place for a socket of an address; the value is False when no place is free for it.

        Some places are reserved for requests. Once half of the others are taken, an address with a quarter of
        them gets no more, so that one client can't lock out all others. Loopback addresses are exempt,
        because a proxy or a load test connects from there.
        """
        open_sockets, room = self.connections.sockets, self.connections.socket_room
        greedy = self.sockets_of[address] >= room // 4 and not is_loopback(address)
        if open_sockets >= room or (open_sockets >= room // 2 and greedy):
            text = "a socket was refused: no places are left for it; raise `nofile` or run more web processes"
            self.incidents.note("sockets_full", text, address, sockets=open_sockets)
            yield False
            return
        self.sockets_of[address] += 1
        try:
            yield True
        finally:
            self.sockets_of[address] -= 1
            if not self.sockets_of[address]:
                del self.sockets_of[address]


EDGE = web.AppKey("edge", Edge)


class Connection(RequestHandler):
    """A connection of the web process, bounded by ``Connections``.

    Attributes:
        state: the state, described in ``web.edge.connections``.
        client: the address of the peer, as the limits count it.
        groups: the groups that limit it; empty for a trusted proxy and for a socket.
        since: the time of its last change of state, in seconds of the event loop's clock.
        held: bytes of an unfinished message.
    """

    __slots__ = (
        "_admitted",
        "_edge",
        "_frames",
        "_link",
        "_refused",
        "client",
        "groups",
        "held",
        "since",
        "state",
    )

    def __init__(self, manager: Server, edge: Edge, loop: asyncio.AbstractEventLoop) -> None:
        """Store the state that all connections share."""
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as aiohttp's own runner does for no log
            keepalive_timeout=limits.KEEPALIVE_SECONDS,
            lingering_time=limits.LINGER_SECONDS,
        )
        self._edge = edge
        self._frames: FrameGuard | None = None
        self._link: asyncio.Transport | None = None
        self._admitted = False
        self._refused = False
        self.state = State.SILENT
        self.client = ""
        self.groups: tuple[str, ...] = ()
        self.since = 0.0
        self.held = 0

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or refuse it when no place is free."""
        self._link = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) else None
        self.client, self.groups = self._edge.addresses.counted(host)
        self._admitted = self._edge.connections.admit(self)
        if self._admitted:
            super().connection_made(transport)
            return
        self._refused = True
        self._link.write(_FULL)
        self._link.close()

    def data_received(self, data: bytes) -> None:
        """Check the data, then pass it to the parser."""
        if self._refused:
            return
        if self._frames is not None and data:
            self._receive_frames(self._frames, data)
            return
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._edge.connections.busy(self)
        elif data and self.state is State.IDLE:
            self._edge.connections.owes(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release the place."""
        if self._admitted:
            self._admitted = False
            self._edge.connections.gone(self)
            super().connection_lost(exc)
        self._link = None

    def pause_writing(self) -> None:
        """Start the limit for a peer that does not read."""
        super().pause_writing()
        self._edge.connections.stalled(self)

    def resume_writing(self) -> None:
        """Stop the limit, because the peer has read."""
        super().resume_writing()
        self._edge.connections.flowing(self)

    # -- what aiohttp calls

    def set_parser(self, parser: WebSocketReader, data_received_cb: Callable[[], None] | None = None) -> None:
        """Become a socket, whose first data is the rest behind the request."""
        self._frames = FrameGuard(self._edge.read_limit)
        self._edge.connections.upgraded(self)
        first, self._message_tail = self._message_tail, b""
        super().set_parser(parser, data_received_cb)
        if first:
            self._receive_frames(self._frames, first)

    async def _handle_request(
        self, request: BaseRequest, start_time: float | None, request_handler: _Handler
    ) -> tuple[web.StreamResponse, bool]:
        if not _is_readable(request):
            request_handler = self._refuse_headers
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            if self._admitted and self.state is State.BUSY and not self._messages:
                self._edge.connections.idle(self)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to an invalid request or an internal error; the connection then closes."""
        if isinstance(exc, HttpProcessingError):
            # Without the error's text, which quotes the request.
            self._note_bad_request(type(exc).__name__)
            return _failure(status, "The request could not be read")
        self.logger.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun, so it cannot become an error")
        return _failure(status, "Internal error" if status == 500 else "The request took too long")

    # -- what ``Connections`` calls

    def drop(self) -> None:
        """Close at once, without sending the rest."""
        if self._link is not None:
            self._link.abort()

    def unsent(self) -> bool:
        """Return whether bytes wait for the peer to read."""
        return self._link is not None and self._link.get_write_buffer_size() > 0

    def reading_is_paused(self) -> bool:
        """Return whether this process has paused reading."""
        return bool(self._reading_paused or self._buffer_paused)

    def refuse_message(self, code: WSCloseCode, reason: str) -> None:
        """Close the socket with a code; drop further data of the peer for ``limits.CLOSE_SECONDS``."""
        if self._refused or self._link is None:
            return
        self._refused = True
        payload = struct.pack("!H", code) + reason.encode()
        if not self._link.is_closing():
            self._link.write(bytes((_CLOSE_FRAME, len(payload))) + payload)
        # Closing at once with unread data would reset the connection, and the peer would miss the code.
        self._loop.call_later(limits.CLOSE_SECONDS, self.drop)

    def _receive_frames(self, frames: FrameGuard, data: bytes) -> None:
        begun = frames.begun
        try:
            frames.feed(data)
        except FrameViolation as violation:
            reason = "unmasked_frame" if violation.code is WSCloseCode.PROTOCOL_ERROR else "frame_too_large"
            self._edge.incidents.note(reason, f"socket closed: {violation.reason}", self.client)
            self._edge.connections.hold(self, 0, renewed=False)
            self.refuse_message(violation.code, violation.reason)
            return
        if frames.held or self.held:
            self._edge.connections.hold(self, frames.held, renewed=frames.begun != begun)
        if not self._refused:
            super().data_received(data)

    async def _refuse_headers(self, _request: BaseRequest) -> web.StreamResponse:
        self._note_bad_request("header")
        return _failure(400, "The request could not be read")

    def _note_bad_request(self, kind: str) -> None:
        self._edge.incidents.note("bad_request", "request refused: not valid HTTP", self.client, kind=kind)


class EdgeRunner(web.AppRunner):
    """Run an application behind instances of ``Connection``."""

    @property
    def server(self) -> Server | None:
        """The factory of the protocol of a new connection."""
        manager = super().server
        if manager is None:
            return None
        loop, edge = asyncio.get_running_loop(), self.app[EDGE]
        # A site calls it and does nothing else with it.
        return cast(Server, lambda: Connection(manager, edge, loop))


def _is_readable(request: BaseRequest) -> bool:
    """Return whether all headers are valid text, and no unsupported expectation is among them."""
    for value in request.headers.values():
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:  # bytes that are not UTF-8
                return False
    return request.headers.get(hdrs.EXPECT, "100-continue").lower() == "100-continue"


def _failure(status: int, detail: str) -> web.Response:
    response = web.Response(
        body=compact_json({"detail": detail}),
        status=status,
        content_type="application/json",
        headers={**HEADERS, "Cache-Control": "no-store"},
    )
    response.force_close()
    return response
