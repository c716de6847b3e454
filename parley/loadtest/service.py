"""The whole service with the model for load tests, on free ports, for as long as a test lasts."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from parley.loadtest.lifting import LIFTED
from parley.loadtest.model import Pace
from parley.loadtest.usage import ProcessUsage, by_kind, usage
from parley.local.embedded import running_of
from parley.local.ports import free_port
from pipeline.errors import ParleyError

_START_SECONDS = 60.0
_STOP_SECONDS = 12.0


@dataclass(frozen=True)
class Service:
    """A service under test.

    Attributes:
        pids: of ``parley up`` and of its model; none when it was not started here.
        redis_url: the address of its Redis; empty when it was not started here.
    """

    url: str
    pids: tuple[int, ...] = ()
    redis_url: str = ""

    def usage(self) -> dict[str, ProcessUsage]:
        """Return the usage of its processes so far, by kind."""
        return usage(self.pids)

    def processes(self, kind: str) -> list[int]:
        """Return its processes of one kind, such as ``web``; none when it was not started here."""
        return by_kind(self.pids).get(kind, [])

    def memory(self) -> int:
        """Return the bytes that its web processes hold now."""
        return self.usage()["web"].memory


@asynccontextmanager
async def service(pace: Pace, *, webs: int = 1, answers: int = 256) -> AsyncIterator[Service]:
    """Run ``parley up`` with the model, and yield the service.

    Args:
        webs: web processes.
        answers: concurrent model calls of the infer agent.

    Raises:
        ParleyError: it did not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="parley-load-") as folder:
        arguments = ("--latency", str(pace.latency), "--tokens", str(pace.tokens), "--rate", str(pace.rate))
        model = await _spawn("parley.loadtest.model", *arguments)
        assert model.stdout is not None  # noqa: S101
        port = int(await model.stdout.readline())
        place = free_port()
        environment = {
            **LIFTED,
            "MODEL_URL": f"http://127.0.0.1:{port}/v1",
            "MODEL": "load",
            "PORT": str(place),
            "APP_ENV": "production",
            "WEB_PROCESSES": str(webs),
            "INFER_CONCURRENCY": str(answers),
            "PARLEY_DATA_DIR": folder,
        }
        up = await _spawn("parley.cli", "up", "--with-parent", **environment)
        printed: list[str] = []
        drain = asyncio.create_task(_drain(up, printed))
        try:
            await _ready(up, f"http://127.0.0.1:{place}", printed)
            yield Service(f"http://127.0.0.1:{place}", (up.pid, model.pid), running_of(folder, place).url)
        finally:
            await _stop(up)
            await _stop(model)
            await drain


async def _spawn(module: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "HF_"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env={**kept, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C ends the test first, and the test ends the service
    )


async def _drain(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stdout is not None  # noqa: S101
    async for line in process.stdout:
        lines.append(line.decode(errors="replace").rstrip())
        del lines[:-50]


async def _ready(up: asyncio.subprocess.Process, url: str, printed: list[str]) -> None:
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    while not any("Parley is ready" in line for line in printed):
        if up.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise ParleyError("the service did not get ready: " + " / ".join(printed[-5:]))
        await asyncio.sleep(0.1)
    async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as response:
        response.raise_for_status()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
