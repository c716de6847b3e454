"""The service under attack: with its limits, and without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.model_server import ModelServer
from tests.support.service import Up, limited, started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    """A model that takes a moment."""
    async with ModelServer(latency=0.02, answer=lambda _question: "Well.") as server:
        yield server


@pytest.fixture(scope="module")
def up(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service with the limits it has by default, behind a proxy that names its clients."""
    settings = {"APP_ENV": "production", "MODEL_URL": model.url, "TRUSTED_PROXIES": "127.0.0.0/8"}
    with limited(tmp_path_factory.mktemp("up"), **settings) as service:
        yield service


@pytest.fixture(scope="module")
def unlimited(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service of an operator who has lifted the rates."""
    settings = {"APP_ENV": "production", "MODEL_URL": model.url, "SESSION_MAX_BYTES": "4194304"}
    with started(tmp_path_factory.mktemp("up"), **settings) as service:
        yield service
