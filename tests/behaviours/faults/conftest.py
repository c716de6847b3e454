"""The whole service on a Redis of its own, with two web processes, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.behaviours.faults.chaos import MODEL_LATENCY
from tests.support.faults import DurableRedis
from tests.support.model_server import ModelServer
from tests.support.service import Up, started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    """A model server that takes a moment, so that a fault finds work under way in every stage."""
    async with ModelServer(latency=MODEL_LATENCY) as server:
        yield server


@pytest.fixture(scope="module")
def durable_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableRedis]:
    """The Redis of the service."""
    with DurableRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def up(
    model: ModelServer, durable_redis: DurableRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Up]:
    """The service."""
    settings = {"MODEL_URL": model.url, "REDIS_URL": durable_redis.url, "WEB_PROCESSES": "2"}
    with started(tmp_path_factory.mktemp("up"), APP_ENV="production", **settings) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trickling(model: ModelServer) -> AsyncIterator[None]:
    """A model whose tokens come one by one, so that most things happen in mid-answer."""
    model.token_delay = 0.01
    yield
    model.token_delay = 0.0
