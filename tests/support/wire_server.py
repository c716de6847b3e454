"""A server that writes given bytes to every request: for what no well-behaved server would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import orjson


def chunk(finish: object = None, **delta: object) -> bytes:
    """Return an event of a chat completion."""
    choice: dict[str, object] = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


def generated(text: str, whole: str | None = None, *, special: bool = False) -> bytes:
    """Return an event of a text generation."""
    token = {"text": text, "special": special}
    return b"data: " + orjson.dumps({"token": token, "generated_text": whole}) + b"\n\n"


DONE = b"data: [DONE]\n\n"


@asynccontextmanager
async def serving(
    *steps: bytes | float,
    content_type: str = "text/event-stream",
    head: bytes = b"",
    held: bool = False,
) -> AsyncIterator[str]:
    """Serve a response of status 200 to every request; yield the address.

    Args:
        steps: what to write, one write each, and the seconds to wait in between.
        head: further lines of the response's head, each with its line end.
        held: keep the connection open after the last step until the client closes it.
    """
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            kind = f"Content-Type: {content_type}\r\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\n" + kind + head + b"\r\n")
            for step in steps:
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                await asyncio.sleep(step if isinstance(step, float) else 0)
            if held:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        await asyncio.gather(*(each for each in handlers if each))
