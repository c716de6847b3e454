"""Fixtures every test may use: a real Redis with RedisJSON, started on a free port for the whole run."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from parley.local.embedded import EmbeddedRedis, ServerBinary, find_server
from pipeline.redis.client import connect


def chosen_server() -> ServerBinary:
    """Return the server that the suite runs on: the embedded one, or the one that TEST_REDIS_SERVER names."""
    embedded = find_server()
    other = os.environ.get("TEST_REDIS_SERVER")
    return replace(embedded, binary=Path(other), origin="TEST_REDIS_SERVER") if other else embedded


# Tests that run in the background ignore Ctrl-C, and all processes that they start would inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: Folders and modules whose tests start the service or servers, which takes seconds: the slowest first.
_PROCESSES = (
    "deploy/test_redis_users.py",
    "behaviours/attacks",
    "behaviours/faults",
    "parley/cli",
    "behaviours",
    "parley/loadtest",
    "parley/local",
    "web/test_reload.py",
    "pipeline/models/test_flat.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start processes, so that `-m "not processes"` leaves the quick ones.

    They come first, as a run that ends with a slow module keeps one core idle.
    """
    folder = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(folder).as_posix()
        ranks = (rank for rank, prefix in enumerate(_PROCESSES) if path.startswith(prefix))
        return next(ranks, len(_PROCESSES))

    for item in items:
        if rank(item) < len(_PROCESSES):
            item.add_marker("processes")
    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One server for the run; tests that stop or break Redis use ``own_redis``."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), chosen_server()) as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: EmbeddedRedis) -> str:
    """The address of an empty Redis."""
    with BlockingRedis.from_url(shared_redis.url) as client:
        client.flushall()
    return shared_redis.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the empty Redis."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of the test's own, to be stopped and started at will."""
    with EmbeddedRedis(tmp_path / "redis", chosen_server()) as server:
        yield server
