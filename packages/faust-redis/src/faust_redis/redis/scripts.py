"""Typed calls into ``lua/*.lua``: a file per atomic operation, its header is its documentation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis.redis.commands import Command, execute

if TYPE_CHECKING:
    from faust_redis.redis.servers import CommandStream

__all__ = ["NOT_MEMBER", "NOT_OWNER", "Scripts"]

#: What the lease-checking scripts answer to a worker whose lease is gone.
NOT_OWNER: Final = -1
#: What ``group_heartbeat`` answers to a member that was put out.
NOT_MEMBER: Final = -1

_NAMES: Final = (
    "ack",
    "append_compacted",
    "declare_topic",
    "expire_entries",
    "expire_tombstones",
    "fail",
    "group_heartbeat",
    "group_join",
    "group_leave",
    "group_release",
    "group_sync",
    "let_go",
    "mark_suspect",
    "replay",
    "sample_partition",
    "seek",
    "server_time",
    "strays",
    "take_lease",
    "take_over",
)
_SOURCES: Final = {
    name: files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8") for name in _NAMES
}
# Redis names a script by this hash; nothing secret depends on it.
_SHAS: Final = {
    name: hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    for name, source in _SOURCES.items()
}


class Scripts:
    """The transport's scripts; a server that does not know one yet is sent its text.

    Attributes:
        redis: The client that calls them.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def call(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Any:
        """Run a script and return its raw result.

        Raises:
            redis.exceptions.RedisError: Redis is away, or the script failed.
        """
        try:
            return await execute(self.redis, "EVALSHA", _SHAS[name], len(keys), *keys, *args)
        except NoScriptError:
            return await execute(self.redis, "EVAL", _SOURCES[name], len(keys), *keys, *args)

    @staticmethod
    def command(name: str, keys: Sequence[str], *args: str | bytes | int, read_only: bool = False) -> Command:
        """Return a call to be sent with others; without the script, its reply is a ``NoScriptError``."""
        return ("EVALSHA_RO" if read_only else "EVALSHA", _SHAS[name], len(keys), *keys, *args)

    async def run(self, name: str, calls: Sequence[Command], stream: CommandStream) -> list[Any]:
        """Send calls of one script in one round trip, all of which can be run twice.

        Returns:
            Their replies, among them the errors of single calls.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        if not calls:
            return []
        replies = await stream.execute_many(calls)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self.load(name)
            replies = await stream.execute_many(calls)
        return replies

    @staticmethod
    def text(name: str) -> str:
        """Return the source of a script, for ``SCRIPT LOAD``."""
        return _SOURCES[name]

    async def load(self, name: str) -> None:
        """Make a script known to the server, on all nodes of a cluster."""
        await self.redis.script_load(_SOURCES[name])
