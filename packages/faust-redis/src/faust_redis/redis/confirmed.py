"""A connection that confirms writes only once enough replicas, or disks, have them.

The wait follows the writes in the same round trip. While it is under way the server executes nothing else
for this connection, so the commands of all tasks that come meanwhile share the next round trip and its wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis import exceptions
from redis.asyncio.connection import ConnectionPool

from faust_redis.errors import UnconfirmedWriteError
from faust_redis.redis.commands import REDIS_ERRORS, Command, Outage
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.durability import Durability, is_read
from faust_redis.redis.replacement import IsReplaced

__all__ = ["ConfirmedConnection", "stream_connection"]


class _Call(NamedTuple):
    commands: Sequence[Command]
    done: asyncio.Future[list[Any]]


class ConfirmedConnection(StreamConnection):
    """A connection whose replies to writes mean that they are as durable as required.

    In place of the reply to a write that was executed and is not confirmed in time, callers get an
    :class:`~faust_redis.errors.UnconfirmedWriteError`: the write may be there, and can be repeated if it may
    run twice.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        durability: Durability,
        wait: Command,
        is_replaced: IsReplaced | None = None,
    ) -> None:
        """Store a pool, which is used only to open the connection, the durability, and its wait."""
        super().__init__(pool, is_replaced)
        self._wait = wait
        self._durability = durability
        self._calls: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None
        self._outage = Outage(f"confirming writes with acks={durability.acks}")

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return their replies once the writes among them are confirmed.

        Raises:
            redis.exceptions.RedisError: as the connection without a wait.
        """
        return await self.submit(commands)

    def submit(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Queue commands and return a future of their replies; calls are executed in their order."""
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(commands, done))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return done

    async def close(self) -> None:
        """Close the connection; callers that wait for a reply get an error."""
        calls, self._calls = self._calls, []
        _fail(calls, exceptions.ConnectionError("the connection is closed"))
        await super().close()

    async def _send(self) -> None:
        try:
            while self._calls:
                calls, self._calls = self._calls, []
                await self._exchange(calls)
        finally:
            self._sender = None

    async def _exchange(self, calls: list[_Call]) -> None:
        """Send the commands of some calls in one round trip and resolve their futures."""
        try:
            replies = await self._confirmed([command for call in calls for command in call.commands])
        except asyncio.CancelledError:
            for call in calls:
                call.done.cancel()
            raise
        except Exception as error:
            if len(calls) > 1 and not isinstance(error, REDIS_ERRORS):
                # A call has arguments that can't be sent, and nothing was; the others must not fail with it.
                for call in calls:
                    await self._exchange([call])
            else:
                _fail(calls, error)
            return
        at = 0
        for call in calls:
            if not call.done.done():
                call.done.set_result(replies[at : at + len(call.commands)])
            at += len(call.commands)

    async def _confirmed(self, commands: list[Command]) -> list[Any]:
        """Send commands and the wait; return their replies, for an unconfirmed write an error."""
        writes = [not is_read(command) for command in commands]
        if not any(writes):
            return await super().execute_many(commands)
        *replies, confirmation = await super().execute_many([*commands, self._wait])
        missing = self._missing(confirmation)
        if missing is None:
            return replies
        return [
            missing if is_write and not isinstance(reply, Exception) else reply
            for is_write, reply in zip(writes, replies, strict=True)
        ]

    def _missing(self, reply: Any) -> Exception | None:
        """Return the error of writes that this reply to their wait does not confirm; None if it does."""
        if isinstance(reply, Exception) and not isinstance(reply, exceptions.ResponseError):
            return reply  # the connection broke
        reason = self._durability.shortfall(reply)
        if reason is None:
            return None
        error = UnconfirmedWriteError(self._durability.acks, reason)
        self._outage.log(error)
        return error


def _fail(calls: Sequence[_Call], error: Exception) -> None:
    for call in calls:
        if not call.done.done():
            call.done.set_exception(error)


def stream_connection(
    pool: ConnectionPool, durability: Durability, is_replaced: IsReplaced | None = None
) -> StreamConnection:
    """Return a connection for the commands of every message, with a wait where one is required."""
    wait = durability.wait
    if wait is None:
        return StreamConnection(pool, is_replaced)
    return ConfirmedConnection(pool, durability, wait, is_replaced)
