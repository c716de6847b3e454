"""Faust programs in processes of their own, shared by the tests of a module, on one Redis."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import faust
import pytest
import redis

from faust_redis.testing import RedisServer, wait_until
from tests.conftest import Worker

PROGRAMS = "tests.conformance.programs"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Site:
    """The pages of one worker."""

    def __init__(self, worker: Worker, port: int) -> None:
        self.worker = worker
        self.port = port

    def get(self, path: str, body: object | None = None) -> Any:
        """Return the JSON behind a path; with a body, of a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return json.loads(response.read())


class Lab:
    """Starts programs on one Redis and reads what they noted.

    Attributes:
        url: Where Redis is.
        redis: A client of it.
        store: The store of the module's programs.
    """

    store = "memory://"

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.folder = folder
        self.workers: list[Worker] = []

    def start(
        self, program: str, *options: str, ready: bool = True, datadir: str | None = None, **settings: object
    ) -> Worker:
        """Start a worker.

        Args:
            options: Of ``faust worker``; without a ``--web-port`` it serves no pages.
            ready: Wait until it has its partitions.
            datadir: Name of a folder that outlives the worker.
            settings: Given to the program as ``TEST_<NAME>``.
        """
        number = len(self.workers)
        log = self.folder / f"worker-{number}.log"
        web = () if "--web-port" in options else ("--without-web",)
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(
                    program, "worker", "-l", "info", *web, *options, datadir=datadir or f"data-{number}"
                ),
                stdout=output, stderr=subprocess.STDOUT, env=self._environment(settings),
            )  # fmt: skip
        worker = Worker(process, log)
        self.workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    def start_site(self, program: str, **settings: object) -> Site:
        """Start a worker that serves its pages."""
        port = free_port()
        options = ("--web-port", str(port), "--web-host", "127.0.0.1", "--web-bind", "127.0.0.1")
        return Site(self.start(program, *options, **settings), port)  # type: ignore[arg-type]

    def run(self, program: str, *arguments: str, datadir: str = "data-0", **settings: object) -> str:
        """Run a command of ``faust -A program`` to its end and return what it printed."""
        done = subprocess.run(
            self._command(program, *arguments, datadir=datadir),
            env=self._environment(settings), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _command(self, program: str, *arguments: str, datadir: str) -> list[str]:
        folder = str(self.folder / datadir)
        return [sys.executable, "-m", "faust", "--datadir", folder, "-A", f"{PROGRAMS}.{program}", *arguments]

    def _environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        given = {f"TEST_{name.upper()}": str(value) for name, value in settings.items()}
        return {**os.environ, "TEST_REDIS_URL": self.url, **given}

    def notes(self, name: str) -> list[Any]:
        """Return what was noted under a name so far."""
        entries: list[str] = self.redis.lrange(f"notes:{name}", 0, -1)  # type: ignore[assignment]
        return [json.loads(entry) for entry in entries]

    def wait_notes(self, name: str, count: int, timeout: float = 30.0) -> list[Any]:
        """Wait for so many notes and return them."""

        def noted() -> bool:
            crashed = [worker.printed() for worker in self.workers if worker.process.poll() == 1]
            assert not crashed, "\n".join(crashed)
            return len(self.notes(name)) >= count

        wait_until(noted, f"{count} notes {name!r}", timeout)
        return self.notes(name)

    def close(self) -> None:
        """End the workers."""
        for worker in self.workers:
            worker.end()
        self.redis.close()


Send = Callable[..., Any]


@pytest.fixture
async def send(lab: Lab) -> Any:
    """Send as a process without a worker does: ``await send("topic", value, key=…, partition=…)``."""
    app = faust.App("sender", broker=lab.url)

    async def send_one(topic: str, value: Any, **options: Any) -> None:
        await (await app.topic(topic).send(value=value, **options))

    await app.maybe_start_producer()
    yield send_one
    await app.producer.stop()


@pytest.fixture(scope="module")
def lab(shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An empty Redis, and the programs that a module's tests share."""
    laboratory = Lab(shared_redis.url, tmp_path_factory.mktemp("lab"))
    laboratory.redis.flushall()
    yield laboratory
    laboratory.close()
