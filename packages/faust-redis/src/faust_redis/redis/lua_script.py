"""Lua scripts: each file of a package's folder ``lua`` is one atomic operation, described by its header."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import itemgetter
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from faust_redis.errors import UnsupportedServerError
from faust_redis.redis.commands import Command

__all__ = ["Argument", "Script"]

#: The value of a script's argument.
Argument = str | int | bytes
#: Sends a command and returns its reply; raises the error that Redis replies.
Execute = Callable[..., Awaitable[Any]]
#: The error of a server before Redis 7.0 about the ``#!lua`` line of a script.
_NO_FLAGS: Final = "unexpected symbol near '#'"


class Script:
    """One script with named arguments, for any connection: to one server, behind Sentinel, or to a cluster.

    A script is in ``<operation>-<number of keys>.lua``, or in ``<operation>.lua``. Redis gets constants in
    capitals, then the arguments as local variables, then ``shared.lua`` of the same folder, if there is one,
    and then the script. A line ``-- include: <name>`` stands for the file ``lua/includes/<name>.lua``: Lua
    creates the functions of a file in a branch only when it takes that branch.

    Attributes:
        operation: Name of the script.
        keys: Its number of keys.
        arguments: The names of its arguments, in the order of ``ARGV``.
        text: The source that Redis gets.
        sha: The hash by which Redis names it.
    """

    def __init__(
        self,
        package: str,
        operation: str,
        *,
        keys: int,
        arguments: Sequence[str] = (),
        rest: bool = False,
        optional_keys: int = 0,
        constants: Mapping[str, int | str] | None = None,
        read_only: bool = False,
        includes: Sequence[str] = (),
    ) -> None:
        """Read the script from the folder ``lua`` of a package.

        Args:
            keys: The number of keys.
            rest: Whether further arguments without names follow. Lua finds them in ``ARGV`` from the index
                ``REST`` on.
            optional_keys: How many of the last keys may be left out.
            constants: Numbers and texts by the names that Lua knows them by, such as return codes.
            read_only: Whether the script changes nothing, so that replicas may run it.
            includes: Files of the folder ``lua/includes`` whose functions each call of the script needs.

        Raises:
            ValueError: An argument is declared that the script never uses.
            FileNotFoundError: There is no script of this name and number of keys.
        """
        folder = files(package) / "lua"
        body = _included(folder, _read(folder, operation, keys))
        code = re.sub(r"--.*", "", body)
        unused = [name for at, name in enumerate(arguments, 1) if not _is_used(code, name, at)]
        if unused:
            raise ValueError(f"{operation} does not use {', '.join(unused)}")
        for include in reversed(includes):
            body = _prepend(_include(folder, include), body)
        self.operation = operation
        self.keys = keys
        self.arguments = tuple(arguments)
        self._values = _getter(self.arguments)
        self._fewest_keys = keys - optional_keys
        self._has_rest = rest
        self._verbs = ("EVALSHA_RO", "EVAL_RO") if read_only else ("EVALSHA", "EVAL")
        parts = (_constants(constants or {}), _locals(arguments, rest=rest))
        shared = folder / "shared.lua"
        common = shared.read_text(encoding="utf-8") if shared.is_file() else ""
        self.text = _prepend(f"{' '.join(part for part in parts if part)}\n{common}", body)
        # Redis names a script by this hash; nothing secret depends on it.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], *rest: Argument, **arguments: Argument) -> Command:
        """Return the command that runs the script, to be sent with others or by :meth:`run`.

        Args:
            rest: Arguments without names, which follow the others.

        Raises:
            TypeError: A key or an argument is missing or unknown.
        """
        count = len(keys)
        if not self._fewest_keys <= count <= self.keys or len(arguments) != len(self.arguments):
            raise self._misuse()
        if rest and not self._has_rest:
            raise self._misuse()
        try:
            values = self._values(arguments)
        except KeyError:
            raise self._misuse() from None
        return (self._verbs[0], self.sha, count, *keys, *values, *rest)

    def _misuse(self) -> TypeError:
        return TypeError(f"{self.operation} takes {self.keys} keys and {', '.join(self.arguments)}")

    async def run(self, execute: Execute, command: Command) -> Any:
        """Run a command of this script; the text is sent only if Redis does not have it.

        Args:
            execute: Sends a command, ``await execute("PING")``.

        Raises:
            redis.exceptions.RedisError: Redis is away, or the script failed.
            UnsupportedServerError: Redis is too old for scripts with flags.
        """
        try:
            return await execute(*command)
        except NoScriptError:
            # Also after a restart of Redis, which forgets scripts. EVAL stores the text again.
            return await self._evaluate(execute, command)

    async def _evaluate(self, execute: Execute, command: Command) -> Any:
        try:
            return await execute(self._verbs[1], self.text, *command[2:])
        except ResponseError as error:
            # A worker may run scripts before it has examined its server.
            if _NO_FLAGS in str(error):
                raise UnsupportedServerError.too_old("before 7.0") from error
            raise


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Argument]], tuple[Argument, ...]]:
    """Return a fast function for the values of these names, because it runs for every call."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda arguments: tuple(arguments[name] for name in names)


def _read(folder: Traversable, operation: str, keys: int) -> str:
    """Return the source of a script; a number of keys in the name of its file must be the right one."""
    plain = folder / f"{operation}.lua"
    return (plain if plain.is_file() else folder / f"{operation}-{keys}.lua").read_text(encoding="utf-8")


def _include(folder: Traversable, name: str) -> str:
    """Return the source of a file of the folder ``includes``."""
    return _included(folder, (folder / "includes" / f"{name}.lua").read_text(encoding="utf-8"))


def _included(folder: Traversable, source: str) -> str:
    """Put the files of the folder ``includes`` into the places of the lines that name them."""
    return re.sub(
        r"^ *-- include: (\w+)$", lambda found: _include(folder, found[1]), source, flags=re.MULTILINE
    )


def _is_used(code: str, name: str, at: int) -> bool:
    return re.search(rf"\b{name}\b", code) is not None or f"ARGV[{at}]" in code


def _constants(constants: Mapping[str, int | str]) -> str:
    if not constants:
        return ""
    return f"local {', '.join(constants)} = {', '.join(map(_literal, constants.values()))}"


def _literal(value: int | str) -> str:
    """Return a constant as Lua source, on one line."""
    if not isinstance(value, str):
        return str(int(value))
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _locals(arguments: Sequence[str], *, rest: bool) -> str:
    values = f"unpack(ARGV, 1, {len(arguments)})" if rest else "unpack(ARGV)"
    named = f"local {', '.join(arguments)} = {values}" if arguments else ""
    return f"{named} local REST = {len(arguments) + 1}".strip() if rest else named


def _prepend(preamble: str, body: str) -> str:
    """Put a preamble before a script, but after its ``#!lua`` line, which has to be the first."""
    if body.startswith("#!"):
        first, _, rest = body.partition("\n")
        return f"{first}\n{preamble}\n{rest}"
    return f"{preamble}\n{body}"
