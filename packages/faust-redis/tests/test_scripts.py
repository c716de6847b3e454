"""Lua scripts: how they are found, named, and sent to a Redis that does not have them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from faust_redis.redis import Script, execute

GREET = """#!lua flags=allow-oom
-- Greet.
--
-- KEYS[1]  string  the greeting
-- ARGV     name    who is greeted
--
-- Result: the greeting and the code.
return {redis.call('GET', KEYS[1]) .. ' ' .. name, GREETED}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package with one script."""
    folder = tmp_path / "greetings"
    (folder / "lua").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "lua" / "greet-1.lua").write_text(GREET)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield "greetings"
    sys.modules.pop("greetings", None)


async def test_arguments_and_codes_have_names_in_lua_and_a_forgotten_script_is_sent_again(
    package: str, redis_url: str
) -> None:
    greet = Script(package, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})
    async with Redis.from_url(redis_url) as redis:
        await redis.set("greeting", "Hello")
        for _ in range(2):
            await redis.script_flush()
            reply = await greet.run(partial(execute, redis), greet.command(["greeting"], name="Ada"))
            assert reply == [b"Hello Ada", 7]


def test_the_line_with_the_flags_stays_the_first(package: str) -> None:
    greet = Script(package, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})

    assert greet.text.startswith("#!lua flags=allow-oom\nlocal GREETED = 7 local name = unpack(ARGV)\n")


def test_an_argument_that_the_script_never_uses_is_an_error_at_import(package: str) -> None:
    with pytest.raises(ValueError, match="does not use colour"):
        Script(package, "greet", keys=1, arguments=("name", "colour"))


def test_another_number_of_keys_than_the_file_has_in_its_name_is_an_error_at_import(package: str) -> None:
    with pytest.raises(FileNotFoundError):
        Script(package, "greet", keys=2, arguments=("name",))


def test_a_call_with_other_keys_or_arguments_is_refused(package: str) -> None:
    greet = Script(package, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})

    with pytest.raises(TypeError, match="takes 1 keys and name"):
        greet.command([], name="Ada")
    with pytest.raises(TypeError, match="takes 1 keys and name"):
        greet.command(["greeting"], colour="red")
