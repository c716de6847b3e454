"""Typed calls into ``lua/*.lua``: a file per atomic operation, its header is its documentation."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.commands.core import AsyncScript

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
    "fail",
    "group_heartbeat",
    "group_join",
    "group_leave",
    "group_release",
    "group_sync",
    "replay",
    "strays",
    "take_over",
)
_SOURCES: Final = {
    name: files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8") for name in _NAMES
}


class Scripts:
    """The transport's scripts, bound to one client; NOSCRIPT is answered by loading them again."""

    def __init__(self, redis: Redis) -> None:
        self._scripts: dict[str, AsyncScript] = {
            name: redis.register_script(source) for name, source in _SOURCES.items()
        }

    async def call(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Any:
        """Run a script and return its raw result.

        Raises:
            redis.exceptions.RedisError: Redis is away, or the script failed.
        """
        return await self._scripts[name](keys=list(keys), args=list(args))

    async def queue(
        self, pipeline: Pipeline, name: str, keys: Sequence[str], *args: str | bytes | int
    ) -> None:
        """Add a script to a pipeline; its result is among the pipeline's."""
        await self._scripts[name](keys=list(keys), args=list(args), client=pipeline)
