"""A server that answers each request with given bytes, head included, one response after the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

#: One response: what to write, one write each, and the seconds to wait in between.
Response = bytes | Sequence[bytes | float]


class RawServer:
    """The server; the last response is repeated, and each connection is closed after one.

    Attributes:
        url: the address.
        heads: the heads of the requests, without the blank line.
        bodies: the decoded bodies of the requests.
    """

    def __init__(self, responses: Sequence[Response]) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self._responses = responses
        self._handlers: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self._handlers.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            self.heads.append(head.decode().removesuffix("\r\n\r\n"))
            self.bodies.append(orjson.loads(body))
            response = self._responses[min(len(self.bodies), len(self._responses)) - 1]
            for step in (response,) if isinstance(response, bytes) else response:
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                await asyncio.sleep(step if isinstance(step, float) else 0)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def wait(self) -> None:
        """Wait for the end of the connections."""
        await asyncio.gather(*(each for each in self._handlers if each))


@asynccontextmanager
async def answering(*responses: Response) -> AsyncIterator[RawServer]:
    """Serve these responses on a free port of the loopback interface."""
    server = RawServer(responses)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server
        await server.wait()


def head(
    status: str = "200 OK", *lines: str, kind: str = "text/event-stream", version: str = "HTTP/1.1"
) -> bytes:
    """Return a response's head, ending with its blank line."""
    return "\r\n".join((f"{version} {status}", f"Content-Type: {kind}", *lines, "", "")).encode()


def refusal(status: str, body: object, *lines: str) -> bytes:
    """Return a complete response that refuses a request."""
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    return head(status, *lines, kind="application/json") + text


def chunked(*pieces: bytes) -> bytes:
    """Return pieces in the chunked transfer coding, with the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
