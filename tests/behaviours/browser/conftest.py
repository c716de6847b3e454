"""A service whose model answers word by word, and pages on which nothing may go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from pipeline.redis.client import connect, execute
from tests.support.model_server import ModelServer, echo
from tests.support.relays import PathProxy, Relay
from tests.support.service import Up, started

# What Chromium itself reports of a server that is away; a page cannot keep it from doing so.
OUTAGES = ("WebSocket connection to", "Failed to load resource", "net::ERR_")


@pytest.fixture(scope="module")
def talker(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service, with two web processes; each test begins chats of its own, all from one address."""
    settings = {"WEB_PROCESSES": "2", "ADDRESS_TOKEN_RATE": "1000/s", "MODEL_ATTEMPTS": "1"}
    folder = tmp_path_factory.mktemp("talker")
    with started(folder, MODEL_URL=model_server.chat_url, APP_ENV="production", **settings) as service:
        yield service


@pytest.fixture
def mishaps() -> list[str]:
    """The errors on the pages of a test."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, talker: Up, mishaps: list[str]) -> AsyncIterator[BrowserContext]:
    """The browser of one person; at the end nothing may have gone wrong in it."""
    context = await new_context(browser, talker, mishaps)
    yield context
    await context.close()
    assert mishaps == []


@pytest_asyncio.fixture(loop_scope="session")
async def shaky(browser: Browser, talker: Up, mishaps: list[str]) -> AsyncIterator[BrowserContext]:
    """The same, for tests in which the server goes away."""
    context = await new_context(browser, talker, mishaps)
    yield context
    await context.close()
    assert [each for each in mishaps if not each.startswith(OUTAGES)] == []


@pytest_asyncio.fixture(loop_scope="session")
async def words(model: ModelServer) -> AsyncIterator[ModelServer]:
    """The model, which echoes a word every 30 ms; a test may set another text."""
    model.token_delay = 0.03
    yield model
    model.token_delay, model.answer = 0.0, echo


@pytest.fixture
def at_once(words: ModelServer) -> None:
    """The model writes as fast as it can."""
    words.token_delay = 0


@pytest_asyncio.fixture(loop_scope="session")
async def relay(talker: Up) -> AsyncIterator[Relay]:
    """A relay in front of the service."""
    async with Relay(talker.port) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def relayed(
    browser: Browser, talker: Up, relay: Relay, mishaps: list[str]
) -> AsyncIterator[BrowserContext]:
    """The browser of one person, whose network may go deaf."""
    context = await new_context(browser, talker, mishaps, url=relay.url)
    yield context
    await context.close()


@pytest.fixture(scope="session")
def below(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service behind a proxy that keeps its path."""
    settings = {"BASE_PATH": "/parley", "ADDRESS_TOKEN_RATE": "1000/s", "APP_ENV": "production"}
    with started(tmp_path_factory.mktemp("below"), MODEL_URL=model_server.chat_url, **settings) as service:
        yield service


@pytest.fixture(params=["strips", "keeps"])
def behind_path(request: pytest.FixtureRequest) -> Callable[[], PathProxy]:
    """Make a proxy of either kind."""
    strips = request.param == "strips"
    service: Up = request.getfixturevalue("talker" if strips else "below")
    return lambda: PathProxy(service.url, "/parley", strips=strips)


async def new_context(browser: Browser, up: Up, mishaps: list[str], url: str = "") -> BrowserContext:
    """Return the browser of one more person, who can copy; `url` is another address of the service."""
    context = await browser.new_context(
        base_url=url or up.url, permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce"
    )

    def watch(page: Page) -> None:
        page.on("console", lambda said: mishaps.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: mishaps.append(str(error)))

    context.on("page", watch)
    return context


async def enter(context: BrowserContext, name: str = "Ada") -> Page:
    """Open the page and begin a chat."""
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Start chatting").click()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    return page


async def download(page: Page, role: Literal["button", "menuitem"], name: str) -> str:
    """Press what lets the browser save a file; return the file's text."""
    async with page.expect_download() as started:
        await page.get_by_role(role, name=name).click()
    path = await (await started.value).path()
    return await asyncio.to_thread(path.read_text)


async def say(page: Page, text: str) -> None:
    """Send a message with the keyboard."""
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def answered(page: Page, count: int) -> None:
    """Wait until so many answers are there and none is being made."""
    await expect(page.locator(".bot:not(.running)")).to_have_count(count, timeout=30_000)
    await expect(page.locator(".running")).to_have_count(0)


async def answers(page: Page) -> list[str]:
    """Return the answers that are shown."""
    return await page.locator(".bot:not(.running) .prose").all_inner_texts()


async def put_history(page: Page, up: Up, count: int) -> None:
    """Give the session of a page a history of questions and answers, so many messages in all."""
    token = await page.evaluate("sessionStorage['parley.token']")
    stamp = "2026-11-01T10:00:00.000000Z"
    messages = [
        {"id": f"m{number}", "msg": f"{said} {number // 2}", "timestamp": stamp}
        for number in range(count)
        for said in (("Human: Question", "Bot: Answer")[number % 2],)
    ]
    store = connect(up.redis_url, max_connections=2)
    await execute(store, "JSON.SET", f"session:{{{token}}}", "$.messages", json.dumps(messages))
    await store.aclose()


async def enter_with_history(context: BrowserContext, up: Up, count: int) -> Page:
    """Enter, give the chat a history, and return the page that shows its end."""
    page = await enter(context)
    await put_history(page, up, count)
    await page.reload()
    await expect(page.locator(".bot").last).to_contain_text(f"Answer {count // 2 - 1}")
    return page


async def another(page: Page, text: str) -> None:
    """Begin another chat, keeping the one on the page, and send a message in it."""
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("dialog").get_by_role("button", name="New chat").click()
    await page.get_by_role("button", name="Start chatting").click()
    await expect(page.locator(".empty")).to_be_visible()
    await say(page, text)
    await answered(page, 1)
