"""Lua scripts: each file of a package's folder ``lua`` is one atomic operation, described by its header."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from faust_redis.redis.commands import Command

__all__ = ["Script"]

#: Sends a command and returns its reply; raises the error that Redis replies.
Execute = Callable[..., Awaitable[Any]]


class Script:
    """One script, which any connection can run: to one server, behind Sentinel, or to a cluster.

    A script with named arguments is in ``<operation>-<number of keys>.lua``. Redis gets its text with the
    arguments as local variables before it, then constants in capitals, then ``shared.lua`` of the same
    folder, if there is one. Other scripts are in ``<operation>.lua`` and read ``KEYS`` and ``ARGV``.

    Attributes:
        operation: Name of the script.
        text: What Redis gets.
        sha: The hash by which Redis names it.
    """

    def __init__(
        self,
        package: str,
        operation: str,
        *,
        keys: int | None = None,
        arguments: Sequence[str] = (),
        constants: Mapping[str, int] | None = None,
        includes: Sequence[str] = (),
    ) -> None:
        """Read the script from the folder ``lua`` of a package.

        Args:
            keys: The number of keys of a script with named arguments.
            constants: Numbers by the names that Lua knows them by, such as return codes.
            includes: Files of the folder ``lua/includes`` whose functions the script calls.

        Raises:
            ValueError: An argument is declared that the script never uses.
            FileNotFoundError: There is no script of this name and number of keys.
        """
        folder = files(package) / "lua"
        name = operation if keys is None else f"{operation}-{keys}"
        body = (folder / f"{name}.lua").read_text(encoding="utf-8")
        unused = [each for each in arguments if not re.search(rf"\b{each}\b", re.sub(r"--.*", "", body))]
        if unused:
            raise ValueError(f"{name}.lua does not use {', '.join(unused)}")
        self.operation = operation
        self.keys = keys
        self.arguments = tuple(arguments)
        for include in reversed(includes):
            body = _prepend((folder / "includes" / f"{include}.lua").read_text(encoding="utf-8"), body)
        self.text = body
        if keys is not None:
            shared = folder / "shared.lua"
            parts = (_constants(constants or {}), _locals(arguments))
            first = " ".join(part for part in parts if part)
            common = shared.read_text(encoding="utf-8") if shared.is_file() else ""
            self.text = _prepend(f"{first}\n{common}", body)
        # Redis names a script by this hash; nothing secret depends on it.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], **arguments: str | int | bytes) -> Command:
        """Return the command that runs the script, to be sent with others or by :meth:`run`.

        Raises:
            TypeError: A key or an argument is missing or unknown.
        """
        if len(keys) != self.keys or set(arguments) != set(self.arguments):
            raise TypeError(f"{self.operation} takes {self.keys} keys and {', '.join(self.arguments)}")
        return self.positional(keys, *(arguments[name] for name in self.arguments))

    def positional(
        self, keys: Sequence[str], *arguments: str | int | bytes, read_only: bool = False
    ) -> Command:
        """Return the command that runs the script with arguments in the order of ``ARGV``."""
        return ("EVALSHA_RO" if read_only else "EVALSHA", self.sha, len(keys), *keys, *arguments)

    async def run(self, execute: Execute, command: Command) -> Any:
        """Run a command of this script; Redis is sent the text only when it does not have it.

        Args:
            execute: Sends a command, ``await execute("PING")``.

        Raises:
            redis.exceptions.RedisError: Redis is away, or the script failed.
        """
        try:
            return await execute(*command)
        except NoScriptError:
            # Also after a restart of Redis, which forgets scripts. EVAL stores the text again.
            return await execute("EVAL", self.text, *command[2:])


def _constants(constants: Mapping[str, int]) -> str:
    if not constants:
        return ""
    return f"local {', '.join(constants)} = {', '.join(map(str, map(int, constants.values())))}"


def _locals(arguments: Sequence[str]) -> str:
    return f"local {', '.join(arguments)} = unpack(ARGV)" if arguments else ""


def _prepend(preamble: str, body: str) -> str:
    """Put a preamble before a script, but after its ``#!lua`` line, which has to be the first."""
    if body.startswith("#!"):
        first, _, rest = body.partition("\n")
        return f"{first}\n{preamble}\n{rest}"
    return f"{preamble}\n{body}"
