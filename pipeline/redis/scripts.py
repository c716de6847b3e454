"""Lua scripts: each file of a package's `lua/` one atomic operation, called by name with named arguments.

A file is named `<operation>-<number of keys>.lua`. What stands before its text when Redis gets it: its
arguments as local variables, the return codes below in capitals, and `shared.lua` of the same folder, if any.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from pipeline.redis.client import execute, execute_many


class Code(IntEnum):
    """What a script did: the first element of its reply, under the same name in Lua."""

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


class Script:
    """One script, ready to be called on any connection."""

    def __init__(self, package: str, operation: str, *, keys: int, arguments: Sequence[str]) -> None:
        """Read the script from the folder `lua` of a package.

        Raises:
            ValueError: an argument is declared that the script never uses.
        """
        folder = files(package) / "lua"
        body = (folder / f"{operation}-{keys}.lua").read_text(encoding="utf-8")
        unused = [name for name in arguments if not re.search(rf"\b{name}\b", _without_comments(body))]
        if unused:
            raise ValueError(f"{operation}-{keys}.lua does not use {', '.join(unused)}")
        self.operation = operation
        self.keys = keys
        self.arguments = tuple(arguments)
        self.text = f"{_preamble(self.arguments)}\n{_shared(folder)}\n{body}"
        # Redis names a script by this hash; nothing secret depends on it.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], **arguments: str | int | bytes) -> tuple[str | int | bytes, ...]:
        """Return the command that runs the script, for `run_scripts`.

        Raises:
            TypeError: a key or an argument is missing or unknown.
        """
        if len(keys) != self.keys or set(arguments) != set(self.arguments):
            raise TypeError(f"{self.operation} takes {self.keys} keys and {', '.join(self.arguments)}")
        values = [*keys, *(arguments[name] for name in self.arguments)]
        return ("EVALSHA", self.sha, self.keys, *values)

    async def __call__(self, redis: Redis, keys: Sequence[str], **arguments: str | int | bytes) -> Any:
        """Run the script; Redis is sent its text only when it does not have it.

        Raises:
            TypeError: a key or an argument is missing or unknown.
        """
        command = self.command(keys, **arguments)
        try:
            return await execute(redis, *command)
        except NoScriptError:
            # Also after a restart of Redis, which forgets scripts. EVAL stores the text again.
            return await execute(redis, "EVAL", self.text, *command[2:])


async def run_scripts(
    redis: Redis, commands: Sequence[tuple[Any, ...]], scripts: Iterable[Script]
) -> list[Any]:
    """Run commands in one round trip, in order.

    Args:
        commands: all safe to run twice, among them those of scripts.
        scripts: those of which Redis may have to be told the text.

    Raises:
        redis.exceptions.RedisError: the first error among the replies.
    """
    for last_try in (False, True):
        loads = [("SCRIPT", "LOAD", script.text) for script in scripts] if last_try else []
        try:
            return (await execute_many(redis, [*loads, *commands]))[len(loads) :]
        except NoScriptError:
            if last_try:
                raise
    raise AssertionError("unreachable")


async def load_scripts(redis: Redis, scripts: Iterable[Script]) -> None:
    """Have Redis know scripts before they are called, on the connection that will call them.

    Raises:
        redis.exceptions.RedisError: Redis is away, or does not allow it.
    """
    await execute_many(redis, [("SCRIPT", "LOAD", script.text) for script in scripts])


def _preamble(arguments: Sequence[str]) -> str:
    codes = f"local {', '.join(code.name for code in Code)} = {', '.join(str(code.value) for code in Code)}"
    return f"{codes} local {', '.join(arguments)} = unpack(ARGV)" if arguments else codes


def _shared(folder: Traversable) -> str:
    shared = folder / "shared.lua"
    return shared.read_text(encoding="utf-8") if shared.is_file() else ""


def _without_comments(lua: str) -> str:
    return re.sub(r"--.*", "", lua)
