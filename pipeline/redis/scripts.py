"""Define the return codes of Parley's Lua scripts, and call the scripts.

``faust_redis.redis.Script`` describes how a script is found, named and loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

import faust_redis.redis
from pipeline.redis.client import execute, execute_in_steps, execute_many


class Code(IntEnum):
    """The result of a script: the first element of its reply, under the same name in Lua."""

    GONE = 0
    OPENED = 1
    QUEUED = 2
    RUNNING = 3
    ENDED = 4
    REFUSED = 5
    CLOSED = 6
    STALE = 7
    STOPPED = 8
    STARTED = 9
    FOUND = 10
    MISSING = 11


class Script(faust_redis.redis.Script):
    """A script of Parley that any client can call; its Lua uses the names of ``Code`` as constants."""

    def __init__(
        self,
        package: str,
        operation: str,
        *,
        keys: int,
        arguments: Sequence[str],
        includes: Sequence[str] = (),
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Read the script from the folder ``lua`` of a package.

        Args:
            includes: files of the folder ``lua/includes`` whose functions the script calls.
            texts: constants of the script, which cost less than arguments of each call.

        Raises:
            ValueError: the script does not use a declared argument.
        """
        codes: dict[str, int | str] = {code.name: code.value for code in Code}
        super().__init__(
            package,
            operation,
            keys=keys,
            arguments=arguments,
            includes=includes,
            constants=codes | dict(texts or {}),
        )

    async def __call__(self, redis: Redis, keys: Sequence[str], **arguments: str | int | bytes) -> Any:
        """Run the script, sending its text only when Redis does not have it.

        Raises:
            TypeError: a key or an argument is missing or unknown.
        """
        return await self.run(partial(execute, redis), self.command(keys, **arguments))


async def run_scripts(
    redis: Redis, commands: Sequence[tuple[Any, ...]], scripts: Iterable[Script]
) -> list[Any]:
    """Run commands in one round trip, those for one session in order.

    Args:
        commands: commands that are all safe to run twice, including script calls.
        scripts: the scripts that these commands call, to load when Redis lacks them.

    Raises:
        redis.exceptions.RedisError: the first error among the replies.
    """
    (replies,) = await run_scripts_in_steps(redis, (commands,), scripts)
    return replies


async def run_scripts_in_steps(
    redis: Redis, steps: Sequence[Sequence[tuple[Any, ...]]], scripts: Iterable[Script]
) -> list[list[Any]]:
    """Run steps of commands like ``run_scripts``, each after all commands of the steps before it.

    A script that Redis lacks makes all steps run once more.
    """
    for last_try in (False, True):
        loads = [("SCRIPT", "LOAD", script.text) for script in scripts] if last_try else []
        try:
            replies = await execute_in_steps(redis, loads, *steps)
        except NoScriptError:
            if last_try:
                raise
        else:
            return replies[1:]
    raise AssertionError("unreachable")


async def load_scripts(redis: Redis, scripts: Iterable[Script]) -> None:
    """Load scripts into Redis before they are called, on the connection that will call them.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, or denies SCRIPT LOAD to this user.
    """
    await execute_many(redis, [("SCRIPT", "LOAD", script.text) for script in scripts])
