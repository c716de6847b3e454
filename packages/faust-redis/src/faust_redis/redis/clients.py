"""Send many commands in one round trip with any client, fastest with one of ``server_from_urls``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from faust_redis.redis.commands import Command
from faust_redis.redis.servers import Server

__all__ = ["execute_in_steps", "execute_many", "server_of"]


def server_of(redis: Redis) -> Server:
    """Return the server that made a client.

    Raises:
        TypeError: the client was not made by ``server_from_urls``.
    """
    server = _server_of(redis)
    if server is None:
        raise TypeError(f"{redis!r} was not made by server_from_urls()")
    return server


async def execute_many(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands in one round trip, on a cluster one to each node concerned, and return their replies.

    The replies hold the errors of single commands. On a cluster, commands for keys of different nodes are
    executed in no particular order.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    if not commands:
        return []
    server = _server_of(redis)
    if server is not None:
        return await server.stream.execute_many(commands)
    async with redis.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return await pipe.execute(raise_on_error=False)


async def execute_in_steps(redis: Redis, *steps: Sequence[Command]) -> list[list[Any]]:
    """Send steps of commands, each executed after all commands of the steps before it; return their replies.

    One server executes the commands of one call in their order, so there all steps are one round trip.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, or a command failed. Further steps may have been
            executed, on a cluster only commands of the same step.
    """
    server = _server_of(redis)
    if server is not None and not server.stream.keeps_order:
        return [_checked(await execute_many(redis, step)) for step in steps]
    replies = iter(_checked(await execute_many(redis, [command for step in steps for command in step])))
    return [[next(replies) for _ in step] for step in steps]


def _checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _server_of(redis: Redis) -> Server | None:
    server: Server | None = getattr(redis, "server", None)
    return server
