"""Handle one connection: aiohttp's protocol with limits for clients that send no valid request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

from pipeline.chat.compact_json import compact_json
from pipeline.edge import limits
from pipeline.edge.addresses import Addresses
from pipeline.edge.connections import Connections, State
from pipeline.edge.headers import HEADERS
from pipeline.telemetry.refusals import refused

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: parley\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

_Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


class HttpConnection(RequestHandler):
    """A connection for HTTP requests, bounded by ``Connections``.

    Attributes:
        state: the state, described in ``pipeline.edge.connections``.
        client: the address of the peer, as the limits count it.
        groups: the groups that limit it; empty for a trusted proxy and for a socket.
        since: the time of its last change of state, in seconds of the event loop's clock.
        held: bytes of an unfinished message on a socket.
    """

    __slots__ = (
        "_addresses",
        "_admitted",
        "_connections",
        "_link",
        "_refused",
        "client",
        "groups",
        "held",
        "since",
        "state",
    )

    def __init__(self, manager: Server, connections: Connections, addresses: Addresses) -> None:
        """Store what all connections of a server share."""
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as aiohttp's own runner does for no log
            keepalive_timeout=limits.KEEPALIVE_SECONDS,
            lingering_time=limits.LINGER_SECONDS,
        )
        self._connections = connections
        self._addresses = addresses
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
        self.client, self.groups = self._addresses.counted(host)
        self._admitted = self._connections.admit(self)
        if self._admitted:
            super().connection_made(transport)
            return
        self._refused = True
        self._link.write(_FULL)
        self._link.close()

    def data_received(self, data: bytes) -> None:
        """Pass data to the parser, unless the connection was refused."""
        if self._refused:
            return
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._connections.busy(self)
        elif data and self.state is State.IDLE:
            self._connections.owes(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release the place."""
        if self._admitted:
            self._admitted = False
            self._connections.gone(self)
            super().connection_lost(exc)
        self._link = None

    def pause_writing(self) -> None:
        """Start the limit for a peer that does not read."""
        super().pause_writing()
        self._connections.stalled(self)

    def resume_writing(self) -> None:
        """Stop the limit, because the peer has read."""
        super().resume_writing()
        self._connections.flowing(self)

    # -- what aiohttp calls

    async def _handle_request(
        self, request: BaseRequest, start_time: float | None, request_handler: _Handler
    ) -> tuple[web.StreamResponse, bool]:
        if not _is_readable(request):
            request_handler = self._refuse_headers
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            if self._admitted and self.state is State.BUSY and not self._messages:
                self._connections.idle(self)

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

    def refuse_message(self, code: int, reason: str) -> None:
        """Close at once; only sockets have messages."""
        self.drop()

    async def _refuse_headers(self, _request: BaseRequest) -> web.StreamResponse:
        self._note_bad_request("header")
        return _failure(400, "The request could not be read")

    def _note_bad_request(self, kind: str) -> None:
        refused("bad_request", "request refused: not valid HTTP", address=self.client, kind=kind)


class GuardedRunner(web.AppRunner):
    """Run an application behind connections with limits."""

    def __init__(
        self, app: web.Application, connect: Callable[[Server], HttpConnection], **options: Any
    ) -> None:
        """Store the factory of connections; ``options`` are those of ``AppRunner``."""
        super().__init__(app, **options)
        self._connect = connect

    @property
    def server(self) -> Server | None:
        """The factory of the protocol of a new connection."""
        manager = super().server
        if manager is None:
            return None
        # A site calls it and does nothing else with it.
        return cast(Server, lambda: self._connect(manager))


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
