"""The whole service on a Redis of its own, with two web processes, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.behaviours.faults.chaos import MODEL_LATENCY
from tests.support.faults import FaultyRedis
from tests.support.model_server import ModelServer
from tests.support.service import Up, started
from tests.support.slow_disk import SlowDiskRedis, has_compiler

FSYNC_SECONDS = 1.5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    """A model server that takes a moment, so that a fault finds work under way in every stage."""
    async with ModelServer(latency=MODEL_LATENCY) as server:
        yield server


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRedis]:
    """The Redis of the service, as it is shipped; where it can be had, on a disk with slow fsyncs."""
    folder = tmp_path_factory.mktemp("redis")
    with SlowDiskRedis(folder, FSYNC_SECONDS) if has_compiler() else FaultyRedis(folder) as server:
        yield server


@pytest.fixture(scope="module")
def up(model: ModelServer, own_redis: FaultyRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service."""
    settings = {"MODEL_URL": model.url, "REDIS_URL": own_redis.url, "WEB_PROCESSES": "2"}
    folder = tmp_path_factory.mktemp("up")
    with started(folder, APP_ENV="production", **settings) as service:
        yield service
        (folder / "up.log").write_text("\n".join(service.lines), "utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trickling(model: ModelServer) -> AsyncIterator[None]:
    """A model whose tokens come one by one, so that most things happen in mid-answer."""
    model.token_delay = 0.01
    yield
    model.token_delay = 0.0
