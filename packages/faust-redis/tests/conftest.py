"""Real Redis servers, and workers of a real Faust program, each its own process."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import faust
import pytest
import pytest_asyncio
import redis
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from faust_redis import DeadLetters, Options, configure
from faust_redis.driver import Transport
from faust_redis.log.topics import TopicRegistry
from faust_redis.redis import server_from_urls
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.scripts import GROUP_JOIN, ScriptRunner
from faust_redis.redis.servers import Server, leave_entries_unparsed
from faust_redis.testing import HOST, SERVER_VARIABLE, Cluster, Keys, RedisServer, cluster, wait_until
from faust_redis.watching import watch_app
from tests.apps import MakeApp, PromptTables, command, running
from tests.compacted_log import CompactedLog
from tests.forking import fork
from tests.joined import Joins
from tests.previous import extract_previous
from tests.redis_versions import EMBEDDED, binary_of
from tests.replicated import ReplicatedPair
from tests.worker import StartWorker, Worker
from tests.workshop import Workshop

#: What the fixture ``serve_page`` returns.
ServePage = Callable[..., Awaitable[TestClient[web.Request, web.Application]]]

PROGRAM = "tests.programs.counting"
KEYS = Keys()

GREET = """#!lua flags=allow-oom
-- Greet.
--
-- KEYS[1]  string  the greeting
-- ARGV     name    who is greeted
--
-- Result: the greeting and the code.
return {redis.call('GET', KEYS[1]) .. ' ' .. name, GREETED}
"""

# Tests run on the embedded server unless the environment names another.
if EMBEDDED.is_file():
    os.environ.setdefault(SERVER_VARIABLE, str(EMBEDDED))

# Tests that run in the background ignore Ctrl-C, and all processes that they start would inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: Fixtures of tests that start workers or several servers, which takes seconds.
_PROCESSES = {"start_previous", "start_worker", "lab", "tables", "own_redis", "shared_cluster"}


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


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers of the counting program; they end with the test."""
    workers: list[Worker] = []

    def start(
        url: str,
        *,
        ready: bool = True,
        program: str = PROGRAM,
        datadir: Path | None = None,
        **settings: str,
    ) -> Worker:
        log = tmp_path / f"worker-{len(workers)}.log"
        environment = {
            **os.environ,
            "TEST_REDIS_URL": url,
            **{f"TEST_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as output:
            process = fork(
                ["--datadir", str(datadir or tmp_path / f"data-{len(workers)}"),
                 "-A", program, "worker", "-l", "info", "--without-web"],
                environment, output.fileno(),
            )  # fmt: skip
        worker = Worker(process, log)
        workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture(scope="session")
def previous_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the previous version; skips the test without the history."""
    folder = tmp_path_factory.mktemp("previous")
    return extract_previous(folder, "packages/faust-redis/src") / "packages" / "faust-redis" / "src"


@pytest.fixture
def start_previous(tmp_path: Path, previous_source: Path) -> Iterator[StartWorker]:
    """Start workers of the counting program over the previous version; they end with the test."""
    workers: list[Worker] = []

    def start(url: str) -> Worker:
        log = tmp_path / f"previous-{len(workers)}.log"
        package = Path(__file__).parents[1]
        environment = {
            **os.environ,
            "TEST_REDIS_URL": url,
            "PYTHONPATH": f"{previous_source}{os.pathsep}{package}",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "faust", "--datadir", str(tmp_path / f"previous-{len(workers)}"),
                 "-A", PROGRAM, "worker", "-l", "info", "--without-web"],
                env=environment, stdout=output, stderr=output,
            )  # fmt: skip
        workers.append(Worker(process, log))
        workers[-1].wait_ready()
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture
def notes(redis_url: str) -> Iterator[redis.Redis]:
    """The records of the workers."""
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
            "TableManager": PromptTables,
        }
        return faust.App("streams", **(defaults | settings))

    return make


@pytest.fixture
async def workshop(make_app: MakeApp) -> AsyncIterator[Workshop]:
    """Workers of one group; long events end with the test."""
    shop = Workshop(make_app)
    await shop.sender.maybe_start_producer()
    yield shop
    await shop.sender.producer.stop()


@pytest.fixture
async def streams(redis_url: str) -> AsyncIterator[Redis]:
    """The content of Redis."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def idle_app() -> faust.App:
    """An app that never connects to its broker."""
    return faust.App("idle", broker="redis://127.0.0.1:1/0")


@pytest.fixture
async def sender(redis_url: str) -> AsyncIterator[faust.App]:
    """An app whose producer has started; its topics have two partitions."""
    app = faust.App("sender", broker=redis_url, topic_partitions=2)
    await app.maybe_start_producer()
    yield app
    await app.producer.stop()


@pytest.fixture
async def shop(redis_url: str) -> AsyncIterator[Redis]:
    """A Redis, as the transport reads it, with the topics ``orders`` and ``bills``."""
    client = server_from_urls([redis_url]).commands
    leave_entries_unparsed(client)
    await client.hset(KEYS.topic("orders"), "partitions", "2")
    await client.hset(KEYS.topic("bills"), "partitions", "1")
    yield client
    await client.aclose()


@pytest.fixture
def dead_letters(shop: Redis) -> DeadLetters:
    return DeadLetters(shop)


@pytest.fixture
async def registries(redis_url: str) -> AsyncIterator[list[TopicRegistry]]:
    """The topic registries of two programs."""
    apps = [faust.App(name, broker=redis_url, web_enabled=False) for name in ("one", "other")]
    contexts = [Transport([app.conf.broker[0]], app).context for app in apps]
    yield [context.topics for context in contexts]
    for context in contexts:
        await context.server.aclose()


@pytest.fixture
async def two_members(streams: Redis) -> ScriptRunner:
    """The scripts, with which two members have joined a group."""
    scripts = ScriptRunner(streams)
    for member in ("one", "two"):
        await scripts.call(GROUP_JOIN, KEYS.group("group"), member_id=member, metadata=b"", last_generation=0)
    return scripts


@pytest.fixture(params=["redis-py with RESP2", "redis-py with RESP3", "the transport's own"])
async def client(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis, of each kind that an inspector takes."""
    makers: dict[str, Callable[[], Redis]] = {
        "redis-py with RESP2": lambda: Redis.from_url(redis_url, protocol=2),
        "redis-py with RESP3": lambda: Redis.from_url(redis_url, protocol=3),
        "the transport's own": lambda: server_from_urls([redis_url]).commands,
    }
    client = makers[request.param]()
    yield client
    await client.aclose()


@pytest.fixture
def breakable_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own that takes commands to break it, and keeps nothing on disk."""
    with RedisServer(tmp_path / "redis", "enable-debug-command yes", "maxmemory-policy noeviction") as server:
        yield server


@pytest.fixture
async def admin(own_redis: RedisServer) -> AsyncIterator[Redis]:
    """A client of ``own_redis``, in which the user ``ada`` has all rights and the password ``sesame``."""
    async with Redis.from_url(own_redis.url) as client:
        await command(client, "ACL", "SETUSER", "ada", "on", ">sesame", "~*", "&*", "+@all")
        yield client


@pytest.fixture
def greetings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package with one script, ``greet``."""
    folder = tmp_path / "greetings"
    (folder / "lua").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "lua" / "greet-1.lua").write_text(GREET)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield "greetings"
    sys.modules.pop("greetings", None)


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three primaries with replicas, for the tests of a module."""
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def redis_cluster(shared_cluster: Cluster) -> Cluster:
    """The cluster, which is empty."""
    shared_cluster.empty()
    return shared_cluster


@pytest.fixture(scope="module")
def started_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicatedPair]:
    """A primary and its replica, for a whole module."""
    folder = tmp_path_factory.mktemp("pair")
    # Every write is synced, so that no test waits for the clock of everysec.
    lines = ("appendonly yes", "appendfsync always", "repl-diskless-sync-delay 0")
    with (
        RedisServer(folder / "primary", *lines) as primary,
        RedisServer(folder / "replica", f"replicaof {HOST} {primary.port}", *lines) as replica,
    ):
        wait_until(lambda: replica.call("INFO", "replication")["master_link_status"] == "up", "a replica")
        yield ReplicatedPair(primary, replica)


@pytest.fixture
def pair(started_pair: ReplicatedPair) -> Iterator[ReplicatedPair]:
    """The primary and its replica, both empty."""
    started_pair.primary.call("FLUSHALL")
    yield started_pair
    started_pair.replica.thaw()


@pytest.fixture
async def confirming(pair: ReplicatedPair) -> AsyncIterator[Server]:
    """The primary, whose writes the replica confirms within half a second."""
    server = pair.server("acks=all&acks_timeout_ms=500")
    yield server
    await server.aclose()


@pytest.fixture(params=["true", "false"], ids=["fast path", "Faust's own path"])
def broker_of_each_path(request: pytest.FixtureRequest, redis_url: str) -> str:
    """The address of an empty Redis, with three attempts for each event, for an app on each of the paths."""
    return f"{redis_url}?fast_path={request.param}&attempts=3"


def pool_of(url: str) -> ConnectionPool:
    """Return what knows how to connect."""
    return ConnectionPool.from_url(url, protocol=2)


@pytest.fixture
async def stream_connection(redis_url: str) -> AsyncIterator[StreamConnection]:
    """A connection to an empty Redis."""
    connection = StreamConnection(pool_of(redis_url))
    yield connection
    await connection.close()


@pytest.fixture
def log(redis_url: str) -> CompactedLog:
    """A compacted partition, which is empty."""
    return CompactedLog(redis_url)


@pytest.fixture(scope="module")
def server_of_version(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), binary=binary_of(request.param)) as running:
        yield running


@pytest.fixture
def redis_of_version(server_of_version: RedisServer) -> RedisServer:
    """A server of the version that a test asks for, which is empty."""
    server_of_version.call("FLUSHALL")
    return server_of_version


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three primaries."""
    with cluster(tmp_path_factory.mktemp("cluster"), replicas=0) as running:
        yield running


@pytest.fixture
async def sharded(shards: Cluster) -> AsyncIterator[Server]:
    """A client's server on the empty cluster."""
    shards.empty()
    server = server_from_urls(shards.url.split(";"))
    yield server
    await server.aclose()


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """The spans that a test has ended."""
    yield (spans := InMemorySpanExporter())
    spans.shutdown()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["fast", "plain"])
async def joins(
    shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Joins]:
    """An app with a join of each kind, for the tests of a module."""
    shared_redis.call("FLUSHALL")
    app = faust.App(
        "joins",
        broker=shared_redis.url,
        topic_partitions=1,
        broker_session_timeout=3.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.1,
        web_enabled=False,
        datadir=tmp_path_factory.mktemp("data"),
    )
    configure(app, Options(fast_path=request.param, backoff=(0.05,)))
    async with Redis.from_url(shared_redis.url) as redis:
        made = Joins(app, redis)
        async with running(app):
            yield made


@pytest.fixture
def make_exact(make_app: MakeApp) -> Callable[..., faust.App]:
    """Make an app that commits exactly once, as a worker would."""

    def make(**settings: Any) -> faust.App:
        app = make_app(processing_guarantee="exactly_once", **settings)
        app.in_worker = True
        return app

    return make


@pytest.fixture
async def serve_page(redis_url: str) -> AsyncIterator[ServePage]:
    """Serve the page of all apps, below a path if ``prefix`` names one."""
    clients: list[TestClient[web.Request, web.Application]] = []

    async def serve(*, prefix: str = "", **given: Any) -> TestClient[web.Request, web.Application]:
        app = watch_app(redis_url, **given)
        if prefix:
            outer = web.Application()
            outer.add_subapp(prefix, app)
            app = outer
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return client

    yield serve
    for client in clients:
        await client.close()
