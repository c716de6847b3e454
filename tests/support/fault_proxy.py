"""A TCP proxy that disturbs its connections: it cuts, refuses, delays and withholds, also one way only.

Each disturbance concerns the connections that a filter picks, those open and those to come, so that one
process can be cut off from a server that others reach.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(eq=False)
class Connection:
    """A connection through the proxy.

    Attributes:
        port: of the client.
    """

    port: int
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None

    def cut(self) -> None:
        """Reset both sides."""
        for writer in (self.near, self.far):
            if writer is not None:
                writer.transport.abort()


Filter = Callable[[Connection], bool]


@dataclass(frozen=True, eq=False)
class Disturbance:
    """A disturbance of some connections.

    Attributes:
        concerns: picks the connections.
        refuses: new ones are accepted and closed at once.
        delay_seconds: what each piece of data waits in either direction.
        holds_up: nothing passes from the client to the server.
        holds_down: nothing passes from the server to the client.
    """

    concerns: Filter
    refuses: bool = False
    delay_seconds: float = 0.0
    holds_up: bool = False
    holds_down: bool = False


class FaultProxy:
    """The proxy, on a free port of the loopback; an async context manager.

    Attributes:
        port: where it listens.
    """

    def __init__(self, target: int | Path) -> None:
        """Take the server's port on the loopback, or the path of its Unix socket."""
        self.port = 0
        self._target = target
        self._connections: set[Connection] = set()
        self._disturbances: list[Disturbance] = []
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def disturbed(self, disturbance: Disturbance) -> Iterator[None]:
        """Disturb connections during the block; what was withheld passes at its end."""
        self._disturbances.append(disturbance)
        try:
            yield
        finally:
            self._disturbances.remove(disturbance)
            self._changed.set()
            self._changed = asyncio.Event()

    def cut(self, concerns: Filter) -> int:
        """Reset the connections that a filter picks; return how many."""
        found = [each for each in self._connections if concerns(each)]
        for connection in found:
            connection.cut()
        return len(found)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        connection = Connection(writer.get_extra_info("peername")[1], writer)
        if any(each.refuses for each in self._of(connection)):
            connection.cut()
            return
        self._connections.add(connection)
        try:
            await self._pass_on(connection, reader, writer)
        except* OSError:
            pass
        finally:
            self._connections.discard(connection)
            connection.cut()

    async def _pass_on(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if isinstance(self._target, int):
            there, connection.far = await asyncio.open_connection("127.0.0.1", self._target)
        else:
            there, connection.far = await asyncio.open_unix_connection(self._target)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, connection.far, connection, up=True))
            group.create_task(self._pump(there, writer, connection, up=False))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection, *, up: bool
    ) -> None:
        while data := await reader.read(65_536):
            await self._let_pass(connection, up=up)
            writer.write(data)
            await writer.drain()
        await self._let_pass(connection, up=up)
        writer.write_eof()

    async def _let_pass(self, connection: Connection, *, up: bool) -> None:
        """Wait until nothing withholds what goes in this direction."""
        if not self._disturbances:
            return
        delay = max((each.delay_seconds for each in self._of(connection)), default=0.0)
        if delay:
            await asyncio.sleep(delay)  # the delay of the network, not a wait for something
        while any(each.holds_up if up else each.holds_down for each in self._of(connection)):
            await self._changed.wait()

    def _of(self, connection: Connection) -> list[Disturbance]:
        return [each for each in self._disturbances if each.concerns(connection)]


def owner_of(port: int, pids: dict[int, str]) -> str | None:
    """Return the kind of the process that has a TCP connection from a local port, None if no process has.

    Args:
        pids: the processes to look at, with their kinds.
    """
    inode = _inode_of(port)
    if inode is None:
        return None
    for pid, kind in pids.items():
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if descriptor.readlink().name == f"socket:[{inode}]":
                        return kind
    return None


def _inode_of(port: int) -> str | None:
    local = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(local):
            return fields[9]
    return None
