"""The whole service, once for the tests of a module, the model server that answers it, and a browser.

Everything lives in one event loop, that of the session: the tests say so with `pytestmark`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect
from redis.asyncio import Redis

from parley.local.embedded import EmbeddedRedis
from parley.local.running_servers import client_of
from pipeline.redis.client import connect
from pipeline.settings import STAGES
from tests.support import load_driver
from tests.support.chat_client import ChatClient
from tests.support.collector import Collector
from tests.support.model_server import ModelServer
from tests.support.service import Up, started

# The settings of the service `hasty`, in seconds.
SESSION_TTL = 3
MODEL_TIMEOUT = 1
# The slow model: seconds between two tokens.
TOKEN_DELAY = 0.05

# The settings of the service `watched`.
ADMIN = "correct-horse-battery"

# The service `sealed`: a secret for every setting that may hold one.
SEALED_ADMIN = "seeded-admin-token-%7B"
MODEL_PASSWORD = "seeded-password"
MODEL_KEY = "hf_SeededKeyOfTheModelServer"
REDIS_PASSWORD = "seeded-redis-password"
COLLECTOR_KEY = "seeded-collector-key"
SYSTEM_PROMPT = "Answer as seeded by the operator."

CHROMIUM = "/usr/bin/chromium"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def model_server() -> AsyncIterator[ModelServer]:
    """The model server of both services."""
    async with ModelServer() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def model(model_server: ModelServer) -> AsyncIterator[ModelServer]:
    """The model server, with no request remembered and no failure planned."""
    model_server.requests.clear()
    yield model_server
    model_server.heal()


@pytest_asyncio.fixture(loop_scope="session")
async def slow_model(model: ModelServer) -> AsyncIterator[ModelServer]:
    """The same, with some time between two tokens."""
    model.token_delay = TOKEN_DELAY
    yield model
    model.token_delay = 0.0


@pytest.fixture(scope="module")
def up(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service, as it runs in production."""
    folder = tmp_path_factory.mktemp("up")
    settings = {"APP_ENV": "production", "MODEL_ATTEMPTS": "1"}  # each planned failure is to be seen
    with started(folder, MODEL_URL=model_server.url, **settings) as service:
        yield service


@pytest.fixture(scope="module")
def hasty(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service as `make up` runs it for a developer, but with little patience."""
    folder = tmp_path_factory.mktemp("hasty")
    settings = {
        "SESSION_TTL": str(SESSION_TTL),
        "MODEL_TIMEOUT": str(MODEL_TIMEOUT),
        "MODEL_ATTEMPTS": "1",
    }
    with started(folder, MODEL_URL=model_server.url, **settings) as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def collector() -> AsyncIterator[Collector]:
    """Takes the traces of the service `watched`."""
    async with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def watched(
    model_server: ModelServer, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Up]:
    """The service with all that makes it visible: an admin token, and traces."""
    folder = tmp_path_factory.mktemp("watched")
    settings = {
        "APP_ENV": "production",
        "ADMIN_TOKEN": ADMIN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with started(folder, MODEL_URL=model_server.url, **settings) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def client(up: Up, model: ModelServer) -> AsyncIterator[ChatClient]:
    """A client of the service, whose model echoes."""
    async with ChatClient(up.url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def hasty_client(hasty: Up, model: ModelServer) -> AsyncIterator[ChatClient]:
    """A client of the hasty service."""
    async with ChatClient(hasty.url) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window; where there is none the tests are skipped, but in CI they fail."""
    if shutil.which(CHROMIUM) is None and os.environ.get("CI") != "true":
        pytest.skip(f"there is no {CHROMIUM}")
    expect.set_options(timeout=30_000)  # other tests may keep the machine busy
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, watched: Up) -> AsyncIterator[Page]:
    """The stage page of `watched`, open; nothing may go wrong on it."""
    page = await browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await page.goto(f"{watched.url}/stages")
    await expect(page.locator("#flow .node")).to_have_count(len(STAGES) + 2)
    yield page
    await page.close()
    assert wrong == []


@pytest_asyncio.fixture(loop_scope="session")
async def chat(watched: Up) -> AsyncIterator[ChatClient]:
    """A client of `watched`."""
    async with ChatClient(watched.url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def store(watched: Up) -> AsyncIterator[Redis]:
    """The Redis of `watched`."""
    redis = connect(watched.redis_url, max_connections=4)
    yield redis
    await redis.aclose()


@pytest.fixture(scope="session")
def sealed(
    model_server: ModelServer, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Up]:
    """The service, with a secret in every setting that may hold one."""
    folder = tmp_path_factory.mktemp("sealed")
    settings = {
        "ADMIN_TOKEN": SEALED_ADMIN,
        "HF_TOKEN": MODEL_KEY,
        "MODEL_ATTEMPTS": "1",
        "MODEL_URL": model_server.url.replace("://", f"://ada:{MODEL_PASSWORD}@"),
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={COLLECTOR_KEY}",
        "SYSTEM_PROMPT": SYSTEM_PROMPT,
    }
    with EmbeddedRedis(folder / "redis") as redis:
        with client_of(redis.url) as client:
            client.config_set("requirepass", REDIS_PASSWORD)
        url = redis.url.replace("://", f"://:{REDIS_PASSWORD}@")
        with started(folder, REDIS_URL=url, **settings) as service:
            yield service


@pytest.fixture
def impatient_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the load driver wait for a lost answer only briefly."""
    monkeypatch.setattr(load_driver, "LOST_SECONDS", 0.5)
    monkeypatch.setattr(load_driver, "_LOOK_SECONDS", 0.1)
