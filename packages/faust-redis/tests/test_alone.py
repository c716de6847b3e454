"""The package on its own, where nothing but Faust, redis-py and their needs is installed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import faust_redis
from faust_redis.driver import SCHEMES

FOLDER = Path(faust_redis.__file__).parent
#: What the folder may import, beside Python's own; Faust needs mode, aiokafka and aiohttp.
NEEDED = {"faust_redis", "faust", "mode", "aiokafka", "aiohttp", "redis", "hiredis"}

pytestmark = pytest.mark.processes

PROGRAM = """
import asyncio
import importlib.util
import os
import signal

import faust
from faust_redis import reject

{registering}

assert importlib.util.find_spec("pipeline") is None, "this project can be imported"
app = faust.App("alone", broker=os.environ["BROKER"], topic_partitions=2, web_enabled=False)
words = app.topic("words", key_type=str, value_type=str)
counts = app.Table("counts", default=int)


@app.agent(words)
async def count(stream):
    async for event in stream.events():
        if event.value == "bad":
            reject(event, ValueError("no word"))
            continue
        counts[event.key] += 1
        print(f"counted {event.key} {counts[event.key]}")


@app.agent()
async def double(stream):
    async for number in stream:
        yield number * 2


@app.task
async def use():
    from redis.asyncio import Redis
    from faust_redis import DeadLetters

    for word in ["bad", "good", "good"]:
        await words.send(key="k", value=word)
    print(f"answered {await double.ask(21)}")
    async with Redis.from_url(os.environ["BROKER"]) as redis:
        dead = DeadLetters(redis)
        while not (letters := await dead.page(["words"])):
            await asyncio.sleep(0.05)
        print(f"dead {letters[0].value} {letters[0].error}")
    while counts["k"] < 2:
        await asyncio.sleep(0.05)
    print(f"driver {type(app.transport).__module__} {type(app.consumer).__module__}")
    os.kill(os.getpid(), signal.SIGTERM)
"""
METADATA = "Metadata-Version: 2.1\nName: faust-redis\nVersion: 0.1\n"


def closure(*names: str) -> set[str]:
    """Return the distributions that these need, themselves among them."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        found.add(wanted.name)
        for line in distribution(wanted.name).requires or []:
            needed = Requirement(line)
            extras = [{"extra": extra} for extra in (wanted.extras or {""})]
            applies = needed.marker is None or any(needed.marker.evaluate(extra) for extra in extras)
            if applies and needed.name not in found:
                waiting.append(needed)
    return found


def packages_alone(tmp_path: Path) -> Path:
    """Return a folder of packages: Faust, redis-py with hiredis, what they need, and ours alone."""
    site = tmp_path / "site"
    site.mkdir()
    for name in closure("faust-streaming", "redis[hiredis]"):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution(name).locate_file(top))).resolve())
    shutil.copytree(FOLDER, site / "faust_redis", ignore=shutil.ignore_patterns("__pycache__"))
    return site


@pytest.mark.parametrize("way", ["entry points", "register"])
def test_the_folder_alone_is_a_transport(tmp_path: Path, redis_url: str, way: str) -> None:
    site = packages_alone(tmp_path)
    registering = "from faust_redis import register\nregister()" if way == "register" else ""
    if way == "entry points":  # what an installer makes of those in pyproject.toml
        lines = [f"{scheme} = faust_redis.driver:Transport" for scheme in SCHEMES]
        info = site / "faust_redis-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA, encoding="utf-8")
        (info / "entry_points.txt").write_text("\n".join(["[faust.transports]", *lines]), encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM.replace("{registering}", registering), encoding="utf-8")

    worker = ["faust", "--datadir", "data", "-A", "program", "worker", "--without-web"]
    done = subprocess.run(
        [sys.executable, "-S", "-W", "ignore", "-m", *worker],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "BROKER": redis_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    for line in (
        "answered 42",
        "dead b'\"bad\"' ValueError: no word",
        "counted k 2",
        "driver faust_redis.driver faust_redis.consuming.consumer",
    ):
        assert line in done.stderr, done.stdout + done.stderr


def imported(source: str) -> Iterator[str]:
    """Return the packages that a module imports; those of its own are not among them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def test_the_folder_imports_nothing_but_faust_and_redis_and_says_that_it_is_typed() -> None:
    assert (FOLDER / "py.typed").is_file()
    for module in FOLDER.rglob("*.py"):
        others = set(imported(module.read_text(encoding="utf-8"))) - set(sys.stdlib_module_names)
        # OpenTelemetry is imported where Faust's own sensor for it, which needs it, is in use.
        assert others <= NEEDED | {"opentelemetry"}, module.name


def test_the_schemes_are_those_of_the_entry_points() -> None:
    ours = distribution("faust-redis").entry_points.select(group="faust.transports")
    entries = {entry.name: entry.value for entry in ours}
    assert entries == dict.fromkeys(SCHEMES, "faust_redis.driver:Transport")
