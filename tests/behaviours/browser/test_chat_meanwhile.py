"""Something happens while a person edits, searches, or goes to another chat."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.behaviours.browser.conftest import another, answered, enter, say
from tests.support.model_server import ModelServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("at_once")]


async def second_tab(context: BrowserContext, answers: int) -> Page:
    """Open the chat in a second tab."""
    page = await context.new_page()
    await page.goto("/")
    await answered(page, answers)
    return page


async def test_an_edited_text_stays_while_another_tab_has_the_message_answered_again(
    context: BrowserContext, words: ModelServer
) -> None:
    page = await enter(context)
    await say(page, "First")
    await answered(page, 1)
    other = await second_tab(context, 1)
    await page.get_by_label("Edit message").click()
    await page.get_by_label("Edit your message").fill("A better one")
    words.token_delay = 0.4
    await other.get_by_label("Regenerate answer").click()
    send = page.locator(".edit-actions").get_by_role("button", name="Send")
    await expect(send).to_be_disabled()
    await expect(page.locator(".edit-note")).to_have_text("Can be sent once the chat is idle.")
    await expect(page.get_by_label("Edit your message")).to_have_value("A better one")
    await expect(send).to_be_enabled(timeout=30_000)
    words.token_delay = 0
    await send.click()
    await expect(page.locator(".bubble")).to_have_text(["A better one"])
    await answered(page, 1)


async def test_a_search_keeps_its_place_when_a_message_comes(context: BrowserContext) -> None:
    page = await enter(context)
    for number, text in enumerate(("sun one", "sun two"), 1):
        await say(page, text)
        await answered(page, number)
    other = await second_tab(context, 2)
    await page.get_by_role("button", name="Search this chat").click()
    await page.keyboard.type("sun")
    count = page.locator(".search-count")
    await expect(count).to_have_text("1 of 4")
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("2 of 4")
    await say(other, "sun three")
    await expect(count).to_have_text("4 of 6", timeout=15_000)


async def test_of_two_chats_the_one_that_was_chosen_last_is_shown(context: BrowserContext) -> None:
    page = await enter(context)
    await say(page, "The slow one")
    await answered(page, 1)
    slow = await page.evaluate("sessionStorage['parley.token']")
    for text in ("The quick one", "The last one"):
        await another(page, text)
    released, passed = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()
        passed.set()

    await page.route(f"**/refresh_token?token={slow}*", hold)
    await page.locator(".chat-open", has_text="The slow one").click()
    await page.locator(".chat-open", has_text="The quick one").click()
    await expect(page.locator(".bubble")).to_have_text("The quick one")
    async with page.expect_response(f"**/refresh_token?token={slow}*"):
        released.set()
    await passed.wait()
    await page.reload()
    await expect(page.locator(".bubble")).to_have_text("The quick one")
