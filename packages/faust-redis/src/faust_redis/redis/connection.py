"""Send the commands of every message on one connection, many in one round trip, parsed by hiredis.

redis-py opens the connection and logs in, so addresses, TLS and credentials work as everywhere. Its reads and
writes would cost more than the rest of the transport: a time-out, a lock and accounting for each reply. Here
a reply costs only its parsing by hiredis.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import hiredis
from redis import exceptions
from redis.asyncio.connection import ConnectionPool, DefaultParser

from faust_redis.faust_hooks.connections import has_ended, take_writer
from faust_redis.redis.commands import SOCKET_TIMEOUT, Command
from faust_redis.redis.replacement import (
    CHECK_SECONDS,
    SUSPECT_SECONDS,
    IsReplaced,
    replaced,
    unless_replaced,
)
from faust_redis.tasks import cancel_and_wait

__all__ = ["StreamConnection"]

#: Seconds that a closing connection may take.
CLOSE_TIMEOUT: Final = 1.0

_NOT_YET: Final = object()
_pack = cast(Callable[[Command], bytes], hiredis.pack_command)


def _ignore() -> None:
    """Ignore a lost connection."""


class _Exchange(NamedTuple):
    expected: int
    replies: list[Any]
    done: asyncio.Future[list[Any]]
    sent_at: float


class StreamConnection:
    """One connection to Redis, opened at first use and again after a failure.

    Any number of tasks may use it concurrently; commands are executed in the order of the calls. Cancelling a
    call does not withdraw its commands; their replies are dropped.

    Attributes:
        on_lost: called whenever an open connection is lost or closed.
    """

    on_lost: Callable[[], None]

    #: Whether the commands of one call are executed in their order whatever their keys.
    keeps_order: Final = True

    def __init__(self, pool: ConnectionPool, is_replaced: IsReplaced | None = None) -> None:
        """Store a pool, which is used only to open the connection.

        Args:
            is_replaced: called while the server is silent; once it returns true, the connection is given up.
        """
        self._pool = pool
        self._is_replaced = is_replaced
        self._checking: asyncio.Task[None] | None = None
        self._protocol: _Protocol | None = None
        self.on_lost = _ignore
        self._connecting = asyncio.Lock()

    async def execute(self, *command: str | bytes | int) -> Any:
        """Send a command and return its reply.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable, or refuses the command.
        """
        (reply,) = await self.execute_many((command,))
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip and return their replies, including the errors of single commands.

        If the connection breaks after some replies, the error replaces each missing reply; those commands may
        or may not have been executed.

        Raises:
            redis.exceptions.ConnectionError: the connection broke before any reply.
            redis.exceptions.TimeoutError: Redis was silent for too long, before any reply.
        """
        protocol = self._protocol
        if protocol is None or protocol.lost:
            protocol = await self._connect()
        replies = await protocol.exchange(commands)
        for reply in replies:
            if isinstance(reply, exceptions.ReadOnlyError):
                # The server became a replica; a new connection to the same address may reach the primary.
                protocol.break_off(exceptions.ConnectionError("this server is not the primary any more"))
                break
        return replies

    def submit(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Write commands at once if the connection is open, and return a future of their replies.

        The replies and errors are those of ``execute_many``, whose coroutine writes only when it is awaited.
        """
        if self._protocol is None or self._protocol.lost:
            return asyncio.ensure_future(self.execute_many(commands))
        return self._protocol.exchange(commands)

    async def execute_on_primaries(self, *command: str | bytes | int) -> list[Any]:
        """Send one command to every primary, here the only one, and return the replies.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable, or refuses the command.
        """
        return [await self.execute(*command)]

    @property
    def is_lost(self) -> bool:
        """Whether it was open and is not, so that the next use opens another."""
        return self._protocol is not None and self._protocol.lost

    def abort(self) -> None:
        """Break the connection; callers that wait for a reply get an error."""
        if self._protocol is not None:
            self._protocol.break_off(exceptions.ConnectionError("the connection was given up"))

    async def close(self) -> None:
        """Close the connection; callers that wait for a reply get an error."""
        protocol, self._protocol = self._protocol, None
        if self._checking is not None:
            await cancel_and_wait([self._checking])
        if protocol is not None:
            await protocol.close()

    async def _connect(self) -> _Protocol:
        async with self._connecting:
            if self._protocol is None or self._protocol.lost:
                connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                await self._open(connection)
                if has_ended(connection):
                    # The protocol that takes over would never be told.
                    await connection.disconnect(nowait=True)
                    raise exceptions.ConnectionError("Redis closed the connection after the handshake")
                host, port = getattr(connection, "host", ""), getattr(connection, "port", 0)
                suspect = None if self._is_replaced is None else lambda: self._suspect(host, port)
                self._protocol = _Protocol(connection, lambda: self.on_lost(), suspect)
            return self._protocol

    async def _open(self, connection: Any) -> None:
        """Open a connection of redis-py; give up when its server is replaced meanwhile."""
        if self._is_replaced is None:
            await connection.connect()
            return
        await unless_replaced(
            connection.connect(),
            lambda: (connection.host, connection.port),
            self._is_replaced,
            CHECK_SECONDS,
        )

    def _suspect(self, host: str, port: int) -> None:
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check(host, port))

    async def _check(self, host: str, port: int) -> None:
        """Break the connection if its server is replaced while it is silent."""
        protocol = self._protocol
        while (
            protocol is not None
            and self._is_replaced is not None
            and protocol is self._protocol
            and not protocol.lost
            and protocol.silence >= SUSPECT_SECONDS
        ):
            if await self._is_replaced(host, port):
                protocol.break_off(replaced(host, port))
                return
            await asyncio.sleep(CHECK_SECONDS)


class _Protocol(asyncio.Protocol):
    """Take over the socket of a connection that redis-py has opened."""

    def __init__(
        self, connection: Any, on_lost: Callable[[], None], on_silent: Callable[[], None] | None
    ) -> None:
        self.lost = False
        self._on_lost = on_lost
        self._on_silent = on_silent
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(
            protocolError=exceptions.InvalidResponse,
            replyError=DefaultParser.parse_error,
            notEnoughData=_NOT_YET,
        )
        self._waiting: deque[_Exchange] = deque()
        self._unsent: list[bytes] = []
        self._watchdog: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._unwritten = 0
        self._closed = self._loop.create_future()
        # Kept, because a stream writer closes its socket when it is garbage-collected.
        self._writer = take_writer(connection)
        self._transport: asyncio.Transport = self._writer.transport
        self._transport.set_protocol(self)

    def exchange(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send commands; the future resolves to their replies."""
        done: asyncio.Future[list[Any]] = self._loop.create_future()
        if not commands:
            done.set_result([])
            return done
        # First, because packing fails for invalid arguments, which must not leave a future without replies.
        packed = [_pack(command) for command in commands]
        now = self._loop.time()
        is_idle = not self._waiting
        self._waiting.append(_Exchange(len(commands), [], done, now))
        if is_idle and not self.lost:
            self._transport.write(b"".join(packed))
        else:
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent += packed
        if self._watchdog is None:
            self._watchdog = self._loop.call_at(now + self._patience, self._look)
        return done

    def _flush(self) -> None:
        """Write the commands of all tasks in this turn of the event loop, in one system call.

        Commands for an idle Redis are written at once, because waiting for the end of the turn would be most
        of the cost of a single command.
        """
        packed, self._unsent = b"".join(self._unsent), []
        if not self.lost:
            self._transport.write(packed)

    def data_received(self, data: bytes) -> None:
        """Pass replies to the waiting callers, in order."""
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        gets = self._reader.gets
        try:
            while self._waiting:
                expected, replies, done, _ = self._waiting[0]
                while len(replies) < expected:
                    reply = gets()
                    if reply is _NOT_YET:
                        return
                    replies.append(reply)
                self._waiting.popleft()
                if not done.done():
                    done.set_result(replies)
        except exceptions.InvalidResponse as error:
            self.break_off(exceptions.ConnectionError(f"Redis sent no valid reply: {error}"))

    def eof_received(self) -> bool:
        """Close this side as well."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the waiting callers."""
        why = error or "end of stream"
        self.break_off(exceptions.ConnectionError(f"Redis closed the connection ({why})"))
        if not self._closed.done():
            self._closed.set_result(None)

    def break_off(self, error: Exception) -> None:
        """Close the connection at once."""
        if not self.lost:
            self.lost = True
            self._on_lost()
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        while self._waiting:
            expected, replies, done, _ = self._waiting.popleft()
            if done.done():
                continue
            if replies:
                done.set_result(replies + [error] * (expected - len(replies)))
            else:
                done.set_exception(error)
        self._transport.abort()

    async def close(self) -> None:
        """Close the connection and wait until its socket is closed."""
        self.break_off(exceptions.ConnectionError("the connection is closed"))
        await asyncio.wait([self._closed], timeout=CLOSE_TIMEOUT)

    def _look(self) -> None:
        """Break the connection if Redis has been silent for too long; otherwise check again later.

        A slow transfer in either direction does not count as silence.
        """
        self._watchdog = None
        if not self._waiting:
            return
        unwritten = self._transport.get_write_buffer_size()
        if unwritten != self._unwritten:
            self._unwritten = unwritten
            self._heard_at = self._loop.time()
        silence = self.silence
        if silence >= SOCKET_TIMEOUT:
            self.break_off(exceptions.TimeoutError(f"no reply from Redis in {SOCKET_TIMEOUT:g} s"))
            return
        pause = self._patience - silence
        if pause <= 0 and self._on_silent is not None:
            self._on_silent()
            pause = min(self._patience, SOCKET_TIMEOUT - silence)
        self._watchdog = self._loop.call_later(max(0.0, pause), self._look)

    @property
    def silence(self) -> float:
        """The seconds since the server owes a reply and has sent nothing; 0.0 if it owes none."""
        if not self._waiting:
            return 0.0
        return self._loop.time() - max(self._waiting[0].sent_at, self._heard_at)

    @property
    def _patience(self) -> float:
        return SOCKET_TIMEOUT if self._on_silent is None else min(SUSPECT_SECONDS, SOCKET_TIMEOUT)
