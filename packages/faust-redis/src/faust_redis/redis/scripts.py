"""The transport's own scripts, ``lua/*.lua``: a file per atomic operation, described by its header."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis.redis.commands import Command, execute
from faust_redis.redis.lua_script import Script

if TYPE_CHECKING:
    from faust_redis.redis.servers import CommandStream

__all__ = ["NOT_MEMBER", "NOT_OWNER", "Scripts"]

#: Returned by the lease-checking scripts to a worker whose lease is gone.
NOT_OWNER: Final = -1
#: Returned by ``group_heartbeat`` to a member that was evicted.
NOT_MEMBER: Final = -1

_NAMES: Final = (
    "ack",
    "append",
    "commit",
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
#: The files of functions that scripts share.
_INCLUDES: Final = {"ack": ("trim",), "append": ("add_entry",), "commit": ("add_entry", "trim")}
_SCRIPTS: Final = {name: Script(__package__, name, includes=_INCLUDES.get(name, ())) for name in _NAMES}


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
        script = _SCRIPTS[name]
        return await script.run(partial(execute, self.redis), script.positional(keys, *args))

    @staticmethod
    def command(name: str, keys: Sequence[str], *args: str | bytes | int, read_only: bool = False) -> Command:
        """Return a call to be sent with others; without the script, its reply is a ``NoScriptError``."""
        return _SCRIPTS[name].positional(keys, *args, read_only=read_only)

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
        return _SCRIPTS[name].text

    async def load(self, name: str) -> None:
        """Make a script known to the server, on all nodes of a cluster."""
        await self.redis.script_load(_SCRIPTS[name].text)
