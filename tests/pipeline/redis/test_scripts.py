"""The Lua files and how they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from pipeline.redis.client import connect
from pipeline.redis.scripts import Script


def test_every_script_has_a_header_that_tells_its_keys_arguments_and_output() -> None:
    scripts = sorted(Path(pipeline.__file__).parent.rglob("lua/*-*.lua"))
    assert scripts
    for path in scripts:
        header = path.read_text(encoding="utf-8").partition("\nlocal ")[0]
        for section in ("-- KEYS[1] ", "-- ARGV ", "-- Result "):
            assert section in header, f"{path.name} lacks {section}"


def test_an_argument_that_the_script_never_uses_is_an_error_at_import() -> None:
    with pytest.raises(ValueError, match="does not use colour"):
        Script("pipeline.chat", "create_session", keys=1, arguments=("token", "name", "ttl", "colour"))


async def test_a_call_with_other_arguments_never_reaches_redis() -> None:
    script = Script("pipeline.chat", "create_session", keys=1, arguments=("token", "name", "ttl"))
    unreachable = connect("redis://127.0.0.1:1")
    with pytest.raises(TypeError, match="takes 1 keys and token, name, ttl"):
        await script(unreachable, ["session:{x}"], token="x", name='"Ada"')
    with pytest.raises(TypeError, match="takes 1 keys"):
        await script(unreachable, [], token="x", name='"Ada"', ttl=1)
