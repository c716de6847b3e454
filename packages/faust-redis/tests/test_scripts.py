"""Lua scripts: how they are found, named, and sent to a Redis that does not have them."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from redis.asyncio import Redis

from faust_redis import UnsupportedServerError
from faust_redis.redis import Script, execute


async def test_arguments_and_codes_have_names_in_lua_and_a_forgotten_script_is_sent_again(
    greetings: str, redis_url: str
) -> None:
    greet = Script(greetings, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})
    async with Redis.from_url(redis_url) as redis:
        await redis.set("greeting", "Hello")
        for _ in range(2):
            await redis.script_flush()
            reply = await greet.run(partial(execute, redis), greet.command(["greeting"], name="Ada"))
            assert reply == [b"Hello Ada", 7]


async def test_a_redis_before_7_which_reads_no_flags_is_named_as_too_old(
    greetings: str, redis_url: str
) -> None:
    greet = Script(greetings, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})
    # Behind a space the flags are Lua for any Redis, as they are at their place for an old one.
    greet.text = f" {greet.text}"
    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()
        with pytest.raises(UnsupportedServerError, match=r"^Redis before 7\.0 is too old"):
            await greet.run(partial(execute, redis), greet.command(["greeting"], name="Ada"))


def test_the_line_with_the_flags_stays_the_first(greetings: str) -> None:
    greet = Script(greetings, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})

    assert greet.text.startswith("#!lua flags=allow-oom\nlocal GREETED = 7 local name = unpack(ARGV)\n")


def test_a_line_in_a_branch_stands_for_the_file_with_its_functions(greetings: str) -> None:
    folder = Path(import_module(greetings).__path__[0]) / "lua"
    (folder / "includes").mkdir()
    (folder / "includes" / "shout.lua").write_text("-- include: upper\nlocal function shout() end\n")
    (folder / "includes" / "upper.lua").write_text("local function upper() end\n")
    (folder / "loud.lua").write_text("if name then\n    -- include: shout\n    shout(name)\nend\n")

    loud = Script(greetings, "loud", keys=0, arguments=("name",))

    inserted = "local function upper() end\n\nlocal function shout() end\n\n"
    assert loud.text.endswith(f"if name then\n{inserted}    shout(name)\nend\n")


def test_an_argument_that_the_script_never_uses_is_an_error_at_import(greetings: str) -> None:
    with pytest.raises(ValueError, match="does not use colour"):
        Script(greetings, "greet", keys=1, arguments=("name", "colour"))


def test_another_number_of_keys_than_the_file_has_in_its_name_is_an_error_at_import(greetings: str) -> None:
    with pytest.raises(FileNotFoundError):
        Script(greetings, "greet", keys=2, arguments=("name",))


def test_a_call_with_other_keys_or_arguments_is_refused(greetings: str) -> None:
    greet = Script(greetings, "greet", keys=1, arguments=("name",), constants={"GREETED": 7})

    with pytest.raises(TypeError, match="takes 1 keys and name"):
        greet.command([], name="Ada")
    with pytest.raises(TypeError, match="takes 1 keys and name"):
        greet.command(["greeting"], colour="red")
