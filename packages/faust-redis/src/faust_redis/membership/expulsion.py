"""Remove the worker of an ended process from its group before its session times out."""

from __future__ import annotations

import os
import socket

from redis.asyncio import Redis

from faust_redis.log.keys import Keys
from faust_redis.redis.commands import execute
from faust_redis.redis.scripts import GROUP_LEAVE, ScriptRunner

__all__ = ["expel", "member_prefix"]


def member_prefix(process: int | None = None) -> str:
    """Return the prefix of the member ids of a process of this host; None for this process."""
    return f"{socket.gethostname()}-{os.getpid() if process is None else process}-"


async def expel(redis: Redis, group: str, process: int, *, namespace: str = "") -> int:
    """Remove the members of a process of this host from a group, so that others take over at once.

    For the parent of the process, which notices its end first; the group notices only when the session times
    out. A member that is still alive joins again, and its acks are refused until then.

    Args:
        redis: a client that does not decode responses.
        group: the id of the app.
        process: the id of the process, which has ended.
        namespace: the namespace of the app.

    Returns:
        The number of removed members.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    keys, scripts = Keys(namespace).group(group), ScriptRunner(redis)
    prefix = member_prefix(process).encode()
    members = [each for each in await execute(redis, "HKEYS", keys[0]) if each.startswith(prefix)]
    return sum([int(await scripts.call(GROUP_LEAVE, keys, member_id=member)) for member in members])
