"""A connection for blocking reads of one key, which follows the key to another node."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import ResponseError

from faust_redis.redis.commands import is_unavailable
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.servers import Server

__all__ = ["KeyConnection"]


class KeyConnection:
    """A dedicated connection to the server that holds a key.

    After an outage, a failover or a moved slot the next call looks up the server again. Calls may be
    concurrent; a blocking one delays those behind it. Cancelling a call closes the connection, because its
    reply would arrive in the middle of the next call.
    """

    def __init__(self, server: Server, key: str) -> None:
        """Store the server, which stays open, and the key."""
        self._server = server
        self._key = key
        self._connection: StreamConnection | None = None
        self._connecting = asyncio.Lock()

    async def execute(self, *command: str | bytes | int) -> Any:
        """Send a command and return its reply.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable, or refuses the command.
        """
        try:
            return await (await self._connected()).execute(*command)
        except BaseException as error:
            await self._recover(error)
            raise

    async def close(self) -> None:
        """Close the connection; callers that wait for a reply get an error."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> StreamConnection:
        async with self._connecting:
            if self._connection is None:
                self._connection = await self._server.blocking(self._key)
            return self._connection

    async def _recover(self, error: BaseException) -> None:
        if not isinstance(error, ResponseError) or is_unavailable(error):
            await self.close()
        if isinstance(error, Exception) and is_unavailable(error):
            await self._server.refresh_topology()
