"""The examples, run as their users run them: each prints what its header shows."""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from faust_redis.testing import cluster, find_redis_server, sentinel, wait_until

pytestmark = pytest.mark.processes

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
#: The time and the process, which Faust puts before a line; headers leave them out.
PREFIX = re.compile(r"^\[\d{4}-[^]]+\] \[\d+\] ")


def shown(program: Path) -> tuple[list[str], list[str]]:
    """Return the command that a header shows, and the lines below it."""
    header = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    command, *lines = header[header.index("\n$ ") + 3 :].splitlines()
    return shlex.split(command), lines


def rest_of(expected: list[str], printed: str) -> list[str]:
    """Return the expected lines that were not printed in this order; other lines may stand between them."""
    left = list(expected)
    for line in printed.splitlines():
        if left and PREFIX.sub("", line).rstrip() == left[0]:
            del left[0]
    return left


def run(name: str, broker: str, folder: Path) -> None:
    """Run an example until it has printed the lines that its header shows."""
    (_, *arguments), expected = shown(EXAMPLES / f"{name}.py")
    is_worker = "worker" in arguments
    command = ["-m", "faust", *arguments] if is_worker else [str(EXAMPLES / f"{name}.py")]
    output = folder / f"{name}.log"
    with output.open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "BROKER": broker, "PYTHONPATH": str(EXAMPLES)},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )

    def left() -> list[str]:
        return rest_of(expected, output.read_text(encoding="utf-8", errors="replace"))

    try:
        with suppress(AssertionError):
            wait_until(lambda: not left() or process.poll() is not None, f"the lines of {name}")
        assert left() == [], output.read_text(encoding="utf-8", errors="replace")
        if is_worker:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_prints_what_its_header_shows(name: str, redis_url: str, tmp_path: Path) -> None:
    run(name, redis_url, tmp_path)


def test_the_same_program_runs_behind_sentinel(tmp_path: Path) -> None:
    with sentinel(tmp_path / "redis") as (address, _):
        run("addresses", address, tmp_path)


def test_the_same_program_runs_on_a_cluster(tmp_path: Path) -> None:
    with cluster(tmp_path / "redis", replicas=0) as servers:
        run("addresses", servers.url, tmp_path)


def test_a_program_is_tested_with_the_testing_module(tmp_path: Path) -> None:
    program = EXAMPLES / "testing" / "test_shop.py"
    _, (expected,) = shown(program)
    environment = {**os.environ, "TEST_REDIS_SERVER": str(find_redis_server())}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", tmp_path, program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout
    assert expected in done.stdout
