"""Faust programs in processes of their own, shared by the tests of a module, on one Redis."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import faust
import pytest
import redis

from faust_redis.testing import RedisServer, eventually, wait_for_group, wait_until
from tests.forking import fork
from tests.worker import Worker

PROGRAMS = "tests.conformance.programs"
#: Of the programs, unless their tests' module has a value of its own.
FAST_PATH = os.environ.get("CONFORMANCE_FAST_PATH", "true")


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
        fast_path: ``false`` runs the programs on Faust's own path.
    """

    def __init__(self, url: str, folder: Path, fast_path: str = FAST_PATH) -> None:
        self.url = url
        self.fast_path = fast_path
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.folder = folder
        self.workers: list[Worker] = []
        self.sites: list[Site] = []

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
            arguments = self._arguments(
                program, "worker", "-l", "info", *web, *options, datadir=datadir or f"data-{number}"
            )
            process = fork(arguments, self._environment(settings), output.fileno())
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

    def two_sites(self, program: str, **settings: object) -> list[Site]:
        """Return two workers of a program that serve pages; those that a test has ended are replaced."""
        self.sites = [site for site in self.sites if site.worker.process.poll() is None]
        while len(self.sites) < 2:
            self.sites.append(self.start_site(program, **settings))
        wait_for_group(self.url, program, members=2, timeout=60)
        return list(self.sites)

    def run(self, program: str, *arguments: str, datadir: str = "data-0", **settings: object) -> str:
        """Run a command of ``faust -A program`` to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "faust", *self._arguments(program, *arguments, datadir=datadir)],
            env=self._environment(settings), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _arguments(self, program: str, *arguments: str, datadir: str) -> list[str]:
        folder = str(self.folder / datadir)
        return ["--datadir", folder, "-A", f"{PROGRAMS}.{program}", *arguments]

    def _environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        given = {f"TEST_{name.upper()}": str(value) for name, value in settings.items()}
        paths = {"CONFORMANCE_FAST_PATH": self.fast_path}
        return {**os.environ, "TEST_REDIS_URL": self.url, **paths, **given}

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


class TablesLab(Lab):
    """One worker of the program ``tables``, and its folder, which are replaced as a test likes."""

    def __init__(self, url: str, folder: Path, fast_path: str, store: str) -> None:
        super().__init__(url, folder, fast_path)
        self.store = store
        self.datadir = "data"

    @property
    def worker(self) -> Worker:
        """The worker that was started last."""
        return self.workers[-1]

    def start_worker(self) -> None:
        """Start a worker with the folder of the one before."""
        self.start("tables", store=self.store, datadir=self.datadir)

    def use_empty_folder(self) -> None:
        """Give the next worker a folder without any data."""
        self.datadir = f"data-of-worker-{len(self.workers)}"

    def faust(self, *arguments: str) -> str:
        """Run a command of ``faust`` to its end on the worker's folder, and return what it printed."""
        return self.run("tables", *arguments, store=self.store, datadir=self.datadir)

    def counts(self) -> dict[str, int]:
        """Return how often each word is counted that was not forgotten."""
        counts = cast("dict[str, str]", self.redis.hgetall("counts"))
        return {word: int(count) for word, count in counts.items()}

    def recovered(self) -> dict[str, int]:
        """Return the counts with which the worker began."""
        return dict(self.notes("rebalanced")[-1])

    def sets_of(self, group: str) -> list[list[str]]:
        """Return what the set of a group was after each of its changes."""
        return [members for name, members in self.notes("members") if name == group]

    async def count(self, send: Send, *words: str) -> None:
        """Send words, and wait until each is counted one more time."""
        wanted = Counter(self.counts())
        wanted.update(words)
        for word in words:
            await send("words", 1, key=word, key_serializer="json")
        await eventually(lambda: self.counts() == wanted, f"counts {dict(wanted)}")
        await self.all_acked("words")

    async def forget(self, send: Send, word: str) -> None:
        """Have a word's count deleted."""
        await send("forget", "", key=word, key_serializer="json")
        await eventually(lambda: word not in self.counts(), "the word to be forgotten")
        await self.all_acked("forget")

    async def all_acked(self, topic: str) -> None:
        """Wait until nothing of a topic is left."""
        await eventually(
            lambda: not any(self.redis.xlen(f"{{{topic}:{p}}}") for p in range(4)), f"acks for all of {topic}"
        )


@pytest.fixture
async def send(shared_redis: RedisServer) -> AsyncIterator[Send]:
    """Send as a process without a worker does: ``await send("topic", value, key=…, partition=…)``."""
    app = faust.App("sender", broker=shared_redis.url)

    async def send_one(topic: str, value: Any, **options: Any) -> None:
        await (await app.topic(topic).send(value=value, **options))

    await app.maybe_start_producer()
    yield send_one
    await app.producer.stop()


@pytest.fixture(scope="module")
def fast_path(request: pytest.FixtureRequest) -> str:
    """The value of ``FAST_PATH`` in a module, or the one for all of conformance."""
    return getattr(request.module, "FAST_PATH", FAST_PATH)


@pytest.fixture(scope="module")
def lab(shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, fast_path: str) -> Iterator[Lab]:
    """An empty Redis, and the programs that a module's tests share."""
    with closing(Lab(shared_redis.url, tmp_path_factory.mktemp("lab"), fast_path)) as laboratory:
        laboratory.redis.flushall()
        yield laboratory


@pytest.fixture
def no_worker_is_left(lab: Lab) -> Iterator[None]:
    """All tests have one group, in which a worker of the test before would take its part."""
    yield
    for worker in lab.workers:
        worker.end()


@pytest.fixture(scope="module")
def agents_program(lab: Lab) -> None:
    """A worker of the program ``agents``."""
    lab.start("agents")


@pytest.fixture
def table_sites(lab: Lab) -> list[Site]:
    """Two workers of the program ``tables`` that hold a copy of each other's tables."""
    return lab.two_sites("tables", standbys=1)


@pytest.fixture
def lifecycle_sites(lab: Lab) -> list[Site]:
    """Two workers of the program ``lifecycle``; the first one that joined a group leads until it goes."""
    return lab.two_sites("lifecycle")


@pytest.fixture
async def settings_program(lab: Lab, send: Send) -> None:
    """A worker of the program ``settings``, which was started once its topics held something already."""
    if not lab.workers:
        for topic in ("latest", "latest-log"):
            for partition in range(8):
                await send(topic, "old", partition=partition)
        lab.start("settings", partitions=8)


@pytest.fixture(scope="module", params=["memory://", "rocksdb://"], ids=["memory", "rocksdb"])
def tables(
    request: pytest.FixtureRequest,
    shared_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    fast_path: str,
) -> Iterator[TablesLab]:
    """A worker of the program ``tables``, with each store that ships with Faust."""
    # Closed even if its worker does not get ready: it would work on what later tests send.
    folder = tmp_path_factory.mktemp("tables")
    with closing(TablesLab(shared_redis.url, folder, fast_path, request.param)) as laboratory:
        laboratory.redis.flushall()
        laboratory.start_worker()
        yield laboratory
