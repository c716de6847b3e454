"""Handle one connection of the web process, which may become a WebSocket."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSCloseCode, web
from aiohttp.http import WebSocketReader
from aiohttp.web_server import Server

from pipeline.edge.addresses import Addresses, wide_network
from pipeline.edge.connection import GuardedRunner, HttpConnection
from pipeline.edge.connections import Connections
from pipeline.hosts import is_loopback
from pipeline.telemetry.refusals import refused
from web import limits
from web.edge.frame_guard import FrameGuard, FrameViolation

_CLOSE_FRAME: Final = 0x88


@dataclass(frozen=True)
class Edge:
    """The state that all connections of a process share.

    Attributes:
        read_limit: maximum bytes of a message that is read to its end.
        sockets_of: the number of sockets by address and by wide network.
    """

    connections: Connections
    addresses: Addresses
    read_limit: int
    sockets_of: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def socket_place(self, address: str) -> Iterator[bool]:
        """Reserve a place for a socket of an address; the value is False when no place is free for it.

        Some places are reserved for requests. Once half of the others are taken, an address with a quarter of
        them, or a wide network with half of them, gets no more, so that one client can't lock out all others.
        Loopback addresses are exempt, because a proxy or a load test connects from there.
        """
        open_sockets, room = self.connections.sockets, self.connections.socket_room
        shares = {address: room // 4}
        if (wide := wide_network(address)) is not None:
            shares[wide] = room // 2
        greedy = any(self.sockets_of[who] >= share for who, share in shares.items())
        if open_sockets >= room or (open_sockets >= room // 2 and greedy and not is_loopback(address)):
            text = "a socket was refused: no places are left for it; raise `nofile` or run more web processes"
            refused("sockets_full", text, address=address, sockets=open_sockets)
            yield False
            return
        self.sockets_of.update(shares.keys())
        try:
            yield True
        finally:
            for who in shares:
                self.sockets_of[who] -= 1
                if not self.sockets_of[who]:
                    del self.sockets_of[who]


EDGE = web.AppKey("edge", Edge)


class Connection(HttpConnection):
    """A connection of the web process, whose frames are checked once it is a socket."""

    __slots__ = ("_frames", "_read_limit")

    def __init__(self, manager: Server, edge: Edge) -> None:
        """Store the state that all connections share."""
        super().__init__(manager, edge.connections, edge.addresses)
        self._frames: FrameGuard | None = None
        self._read_limit = edge.read_limit

    def data_received(self, data: bytes) -> None:
        """Check the data, then pass it to the parser."""
        if self._frames is not None and data and not self._refused:
            self._receive_frames(self._frames, data)
        else:
            super().data_received(data)

    def set_parser(self, parser: WebSocketReader, data_received_cb: Callable[[], None] | None = None) -> None:
        """Become a socket, whose first data is the rest behind the request."""
        self._frames = FrameGuard(self._read_limit)
        self._connections.upgraded(self)
        first, self._message_tail = self._message_tail, b""
        super().set_parser(parser, data_received_cb)
        if first:
            self._receive_frames(self._frames, first)

    def refuse_message(self, code: int, reason: str) -> None:
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
            refused(reason, f"socket closed: {violation.reason}", address=self.client)
            self._connections.hold(self, 0, renewed=False)
            self.refuse_message(violation.code, violation.reason)
            return
        if frames.held or self.held:
            self._connections.hold(self, frames.held, renewed=frames.begun != begun)
        if not self._refused:
            super().data_received(data)


class EdgeRunner(GuardedRunner):
    """Run an application behind instances of ``Connection``."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        """Serve ``app``; ``options`` are those of ``AppRunner``."""
        super().__init__(app, lambda manager: Connection(manager, app[EDGE]), **options)
