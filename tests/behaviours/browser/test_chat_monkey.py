"""Whatever a person does in whatever order: the page stays alive, and shows what the server holds."""

from __future__ import annotations

import os

import pytest
from playwright.async_api import BrowserContext, Page

from tests.behaviours.browser.conftest import OUTAGES, put_history
from tests.behaviours.browser.monkey import Monkey, answer
from tests.support.model_server import ModelServer
from tests.support.relays import Relay
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

#: `make monkey` runs more plans, and longer ones.
SEEDS = [int(seed) for seed in os.environ.get("MONKEY_SEEDS", "1 2").split()]
ACTS = int(os.environ.get("MONKEY_ACTS", "50"))


@pytest.mark.timeout(60 + 3 * ACTS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_page_survives_whatever_is_done_to_it(
    relayed: BrowserContext, talker: Up, relay: Relay, words: ModelServer, mishaps: list[str], seed: int
) -> None:
    words.token_delay = 0.01
    answer(words)
    page = await relayed.new_page()
    await page.goto("/")
    await begin(page)
    if seed % 2 == 0:  # the others begin with an empty chat
        await lengthen(page, talker, 500)
    monkey = Monkey(page, relay, seed)
    try:
        await monkey.run(ACTS)
        await monkey.compare()
        await page.reload()
        await monkey.compare()
    finally:
        print(f"seed {seed}: {', '.join(monkey.done)}")
    assert [each for each in mishaps if not each.startswith(OUTAGES)] == []


async def lengthen(page: Page, talker: Up, count: int) -> None:
    """Give the chat a history of so many messages."""
    await put_history(page, talker, count)
    await page.reload()
    await page.locator("#text").wait_for()


async def begin(page: Page) -> None:
    """Begin a chat on a new page."""
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_role("button", name="Start chatting").click()
    await page.locator("#text").wait_for()
