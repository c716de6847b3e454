"""Post bodies to one URL over the connections of an aiohttp pool.

aiohttp opens the connections, through a proxy and with TLS where that is needed, keeps them and parses what
comes back. Its session would prepare the same request for each body anew, and write it by a task of its own:
two thirds of the processor time of a call. Here the head is prepared once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from aiohttp.helpers import HeadersMixin
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

__all__ = ["Poster", "Response"]

#: Maximum bytes of a line or field of the response's head; gateways add cookies, policies and traces of many
#: KB.
MAX_HEADER_BYTES: Final = 128 * 1024
MAX_HEADERS: Final = 1024


class Response(HeadersMixin):
    """The head of a response, and the stream of its body, which yields decoded bytes.

    Attributes:
        url: the URL of the request.
    """

    def __init__(self, url: URL, connection: Connection, message: Any, content: aiohttp.StreamReader) -> None:
        self.url = url
        self.status: int = message.code
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content = content
        self._headers = message.headers
        self._connection = connection
        # The connection is in the pool again at the end of the body, whoever reads that.
        content.on_eof(connection.release)

    def close(self) -> None:
        """Close the connection unless the body has ended; may be called twice."""
        self._connection.close()


class Poster:
    """Send POST requests to one URL; the limits of time are the caller's, but for the connection's.

    Args:
        url: the URL, with credentials for basic authentication if it has any.
        headers: further headers of each request.
        proxy: the proxy to use, None for a direct connection.
        connect_timeout: seconds for opening a connection, including TLS.
    """

    def __init__(
        self, url: URL, headers: Mapping[str, str], *, proxy: URL | None, connect_timeout: float
    ) -> None:
        self._url = url
        self._headers = headers
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._connector: aiohttp.TCPConnector | None = None
        self._used: WeakSet[object] = WeakSet()

    async def post(self, body: bytes) -> Response:
        """Send a body and return the head of the response; cancelling it closes the connection.

        The server may close a kept connection at any time (llama.cpp does so after each stream), even while
        the request is on its way; no answer then most likely means that the request was not read, so it is
        sent again.

        Raises:
            aiohttp.ClientError: no connection, or it broke, or the response is not HTTP.
            OSError: the same, from the operating system.
        """
        while True:
            try:
                connection = await self._open().connect(self._request, [], self._timeout)
            except TimeoutError as exc:
                raise aiohttp.ConnectionTimeoutError("no connection in time") from exc
            is_kept = connection.protocol in self._used
            try:
                return await self._exchange(connection, body)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                connection.close()
                if not is_kept:
                    raise
            except BaseException:
                connection.close()
                raise

    async def _exchange(self, connection: Connection, body: bytes) -> Response:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        self._used.add(protocol)
        protocol.set_response_params(
            read_until_eof=True,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (self._head(), len(body), body))
        try:
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    return Response(self._url, connection, message, content)
        except HttpProcessingError as exc:
            raise aiohttp.ClientResponseError(
                self._request.request_info, (), status=exc.code, message=exc.message, headers=exc.headers
            ) from exc

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = None

    def _open(self) -> aiohttp.TCPConnector:
        """Return the pool; it is made with its first use, as it belongs to the running loop."""
        if self._connector is None:
            # The caller limits concurrency; a second limit here would count queueing as server time.
            self._connector = aiohttp.TCPConnector(limit=0)
            self._request = _Request(
                hdrs.METH_POST,
                self._url,
                headers=self._headers,
                loop=asyncio.get_running_loop(),
                proxy=self._proxy,
            )
            del self._request.headers[hdrs.CONTENT_LENGTH]  # of no body
            self._request.keep_key()
            self._prepared = b""
        return self._connector

    def _head(self) -> bytes:
        """Return the head of a request but for its length.

        It is prepared after the first connection, for which the pool may have added a proxy's credentials.
        """
        if not self._prepared:
            request = self._request
            is_forwarded = request.proxy is not None and not request.is_ssl()
            target = str(request.url.with_user(None)) if is_forwarded else request.url.raw_path_qs
            lines = (
                f"{hdrs.METH_POST} {target} HTTP/1.1",
                *map(_line, *zip(*request.headers.items(), strict=True)),
            )
            self._prepared = "".join(f"{line}\r\n" for line in lines).encode()
        return self._prepared


class _Request(aiohttp.ClientRequest):
    """A request that names its place in the pool once, not for each connection."""

    _kept: Any = None

    def keep_key(self) -> None:
        """Compute the key of the connections for this request."""
        self._kept = super().connection_key

    @property
    def connection_key(self) -> Any:
        """The key of the connections for this request in the pool."""
        return self._kept


def _line(name: str, value: str) -> str:
    if any(character in name + value for character in "\r\n\0"):
        raise ValueError(f"the value of the header {name} holds a line break")
    return f"{name}: {value}"
