"""A server with as many clients as it may have, or a proxy, accepts connections and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
import uvloop
from redis import exceptions

from faust_redis.redis import execute_many, server_from_urls

# A reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def ending(after: int, *, reset: bool) -> Iterator[int]:
    """Serve connections, and end each after it has sent some times; give the port."""

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for _ in range(after):
                asked = connection.recv(65536)
                if b"PING" in asked:  # the handshake took fewer packets
                    break
                connection.sendall(b"+OK\r\n" * max(1, asked.count(b"SETINFO")))
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("after", range(4))
def test_a_connection_that_ends_in_its_handshake_is_a_connection_error(after: int, reset: bool) -> None:
    async def ask(port: int) -> list[object]:
        server = server_from_urls([f"redis://ada:x@127.0.0.1:{port}?protocol=2"], pool_size=64)
        # The event loop is late, as under load: the end of a connection is there before its next command.
        late = asyncio.create_task(be_late())
        try:
            readers = [await server.blocking("key") for _ in range(10)]
            return await asyncio.gather(
                *(server.commands.ping() for _ in readers),
                *(reader.execute("PING") for reader in readers),
                *(execute_many(server.commands, [("PING",)]) for _ in readers),
                return_exceptions=True,
            )
        finally:
            late.cancel()
            await server.aclose()

    async def be_late() -> None:
        while True:
            time.sleep(0.01)  # noqa: ASYNC251
            await asyncio.sleep(0)

    began = time.monotonic()
    with ending(after, reset=reset) as port, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(ask(port))

    assert {type(answer) for answer in answers} == {exceptions.ConnectionError}
    assert time.monotonic() - began < 8
