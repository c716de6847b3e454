"""Build both distributions into ``dist/`` and test them like a new user, in an empty environment.

1. A wheel is built from the sdist, so a file that the sdist lacks is missed here.
2. Each wheel holds its data: Lua scripts, the built pages, the mark that it is typed, its license.
3. faust-redis, installed alone, runs an example.
4. Parley, installed beside it, answers a message, in an empty folder and with neither make nor git on PATH.

Steps 3 and 4 are done with each Python that is named as an argument, by default with the one that runs this.
Ends with status 1 and the reason when a step fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import aiohttp

from faust_redis.testing import wait_until
from parley.local.embedded import EmbeddedRedis, find_server
from parley.local.ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
DIST: Final = ROOT / "dist"
PACKAGE: Final = ROOT / "packages" / "faust-redis"

#: Required files of a wheel, by the beginning of its name; patterns of the paths inside.
NEEDED: Final = {
    "faust_redis": (
        r"faust_redis/py\.typed",
        r"faust_redis/.*\.lua",
        r"faust_redis/watching/page/index\.html",
        r".*/licenses/LICENSE",
    ),
    "parley": (
        r"pipeline/chat/lua/.*\.lua",
        r"web/static/index\.html",
        r"web/pages/stages_page/index\.html",
        r"parley/py\.typed",
        r".*/licenses/LICENSE",
    ),
}
#: Seconds; a machine with two busy cores takes a fifth of them.
PATIENCE: Final = 120.0


class ReleaseError(Exception):
    """A step failed."""


def main(interpreters: list[str]) -> None:
    """Build, check, install and use both distributions."""
    build()
    for interpreter in interpreters or [sys.executable]:
        try_on(interpreter)
    for path in sorted(DIST.iterdir()):
        print(f"built and tried: {path.relative_to(ROOT)}")


def try_on(interpreter: str) -> None:
    """Install and use both distributions in an empty environment of an interpreter."""
    with tempfile.TemporaryDirectory(prefix="release ") as name:
        folder = Path(name)
        python = environment(interpreter, folder)
        print(interpreter)
        with EmbeddedRedis(folder / "redis", find_server()) as server:
            install(python, wheel("faust_redis"))
            run_example(python, folder, server.url)
            install(python, wheel("parley"), wheel("faust_redis"))
            run_service(python, folder, server.url)


def build() -> None:
    """Build an sdist and a wheel of each distribution, and look into the wheels."""
    shutil.rmtree(DIST, ignore_errors=True)
    for source in (PACKAGE, ROOT):
        run(sys.executable, "-m", "build", "--outdir", str(DIST), str(source))
    for name, patterns in NEEDED.items():
        with ZipFile(wheel(name)) as archive:
            files = archive.namelist()
        for pattern in patterns:
            if not any(re.fullmatch(pattern, file) for file in files):
                raise ReleaseError(f"{wheel(name).name} holds no {pattern}")
    print("wheels hold their data")


def wheel(name: str) -> Path:
    """Return the built wheel of a distribution."""
    (path,) = DIST.glob(f"{name}-*.whl")
    return path


def environment(interpreter: str, folder: Path) -> Path:
    """Make a virtual environment and return its Python."""
    where = folder / "environment"
    try:
        run(interpreter, "-m", "venv", str(where))
    except ReleaseError:  # Debian has a separate package for venv's pip; this environment's pip works as well
        run(interpreter, "-m", "venv", "--clear", "--without-pip", str(where))
    return where / "bin" / "python"


def install(python: Path, *wheels: Path) -> None:
    """Install wheels with their dependencies into the environment of a Python."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    run(*pip, "install", *map(str, wheels))
    print(f"installed {', '.join(path.name for path in wheels)}")


def run_example(python: Path, folder: Path, url: str) -> None:
    """Run the first example on an installation with only faust-redis."""
    example = shutil.copy(PACKAGE / "examples" / "word_count.py", folder)
    arguments = [str(python), "-m", "faust", "-A", Path(example).stem, "worker", "--without-web"]
    with process(arguments, folder, {"BROKER": url}) as (worker, log):
        wait_for("be 2", worker, log)
        worker.send_signal(signal.SIGTERM)
        if worker.wait(timeout=PATIENCE):
            raise ReleaseError(f"the example ended with status {worker.returncode}:\n{log.read_text()}")
    print("an example runs on faust-redis alone")


def run_service(python: Path, folder: Path, url: str) -> None:
    """Start Parley in an empty folder, send a message, and stop it."""
    empty = folder / "empty"
    empty.mkdir()
    command = python.parent / "parley"
    run(str(command), "--help")
    port = free_port()
    settings = {"REDIS_URL": url, "PORT": str(port), "PATH": str(python.parent)}
    with process([str(command), "up"], empty, settings) as (service, log):
        wait_for("Parley is ready", service, log)
        print(f"Parley answers: {asyncio.run(talk(f'http://127.0.0.1:{port}'))}")
        service.send_signal(signal.SIGINT)
        service.wait(timeout=PATIENCE)


async def talk(url: str) -> str:
    """Return the answer to one message, and check that the page is there."""
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(PATIENCE)) as http:
        async with http.get("/") as response:
            response.raise_for_status()
        async with http.post("/token", params={"name": "Ada"}) as response:
            token = (await response.json())["token"]
        async with http.ws_connect("/chat", params={"token": token}) as socket:
            await socket.send_str("Hello")
            answer: str = json.loads(await socket.receive_str())["msg"]
            return answer


@contextmanager
def process(
    arguments: list[str], folder: Path, variables: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a process in a folder, with only these variables, and yield it and its log."""
    log = folder / f"{Path(arguments[0]).name}.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            arguments, cwd=folder, env={"HOME": os.environ["HOME"], **variables}, stdout=output, stderr=output
        )
    try:
        yield started, log
    finally:
        started.kill()
        started.wait()


def wait_for(text: str, running: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process has printed a text.

    Raises:
        ReleaseError: It ended before.
    """
    wait_until(lambda: text in log.read_text() or running.poll() is not None, text, PATIENCE)
    if text not in log.read_text():
        raise ReleaseError(f"{text!r} was never printed:\n{log.read_text()}")


def run(*command: str) -> None:
    """Run a command to its end.

    Raises:
        ReleaseError: It failed; holds what it printed.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ReleaseError as error:
        sys.exit(str(error))
