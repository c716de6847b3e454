"""The private names that the transport depends on are those of the installed Faust, mode and redis-py."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.stores.memory import Store as MemoryStore
from faust.stores.rocksdb import Store as RocksDBStore
from mode.supervisors import OneForOneSupervisor
from redis.asyncio.connection import Connection

import faust_redis
from faust_redis.errors import UnsupportedFaustError
from faust_redis.faust_hooks.contract import ATTRIBUTES, METHODS, SUPPORTED_FAUST, Method, check_faust

SOURCE = Path(faust_redis.__file__).parent


class Word(faust.Record):
    text: str


def made(app: Any) -> dict[str, Callable[[], Any]]:
    """Return functions that make one object of each kind."""
    topic = app.topic("in")

    async def nothing(stream: Any) -> None: ...

    return {
        "actor": lambda: app.agent(topic, name="actor")(nothing)(),
        "agent": lambda: app.agent(topic)(nothing),
        "app": lambda: app,
        "assignor": lambda: app.assignor,
        "channel": lambda: topic,
        "conductor": lambda: app.topics,
        "consumer": lambda: app.consumer,
        "future": asyncio.get_running_loop().create_future,
        "memory store": lambda: MemoryStore("memory://", app, app.Table("a")),
        "module faust.streams": lambda: importlib.import_module("faust.streams"),
        "queue": lambda: topic.queue,
        "record": lambda: Word,
        "record's field": lambda: Word.text,
        "redis connection": Connection,
        "reply consumer": lambda: app._reply_consumer,
        "rocksdb store": lambda: RocksDBStore("rocksdb://", app, app.Table("b"), driver="rocksdict"),
        "sensors": lambda: app.sensors,
        "settings": lambda: app.conf,
        "signal": lambda: app.on_produce_message,
        "stream": lambda: topic.stream(),
        "supervisor": OneForOneSupervisor,
        "table": lambda: app.Table("c"),
        "tables": lambda: app.tables,
    }


def parameters(function: Any) -> str:
    """Return the parameters of a function without annotations."""
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.owner}.{method.name}")
def test_a_private_method_has_the_parameters_that_the_transport_expects(method: Method) -> None:
    module, _, kind = method.owner.partition(":")
    owner = importlib.import_module(module)

    assert parameters(getattr(getattr(owner, kind) if kind else owner, method.name)) == method.signature


@pytest.mark.parametrize("kind", ATTRIBUTES)
async def test_an_object_has_the_private_attributes_that_hooks_read(kind: str) -> None:
    app = faust.App("contract", broker="redis://127.0.0.1:1", datadir="unused")
    found = made(app)[kind]()
    if kind == "actor":
        found.it.close()  # nobody is going to run it

    assert [name for name in ATTRIBUTES[kind] if not hasattr(found, name)] == []


def test_only_hooks_touch_private_parts_of_other_objects() -> None:
    tuples = {"_replace", "_fields"}
    strays = []
    for path in SOURCE.rglob("*.py"):
        if path.parent.name == "faust_hooks":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
                continue
            owner = ast.unparse(node.value)
            if (
                owner not in ("self", "cls", "super()")
                and not node.attr.startswith("__")
                and (node.attr not in tuples)
            ):
                strays.append(f"{path.relative_to(SOURCE)}:{node.lineno} {owner}.{node.attr}")

    assert strays == []


def test_the_supported_faust_is_the_installed_one_and_is_taken_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_faust()

    assert faust.__version__ == SUPPORTED_FAUST
    assert not caplog.records


@pytest.mark.parametrize("version", ["0.14.9", "0.16.0", "1.0.0"])
def test_another_faust_is_refused_and_both_versions_are_named(version: str) -> None:
    with pytest.raises(UnsupportedFaustError) as refused:
        check_faust(version)

    assert version in str(refused.value)
    assert SUPPORTED_FAUST in str(refused.value)


def test_another_patch_of_faust_is_warned_about_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_faust("0.15.99")

    assert "0.15.99" in caplog.text
    assert SUPPORTED_FAUST in caplog.text
