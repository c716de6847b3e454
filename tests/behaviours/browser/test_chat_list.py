"""The chats of a browser, and what is found in one."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import BrowserContext, Page, Route, WebSocketRoute, expect

from faust_redis.testing import eventually
from tests.behaviours.browser.conftest import (
    another,
    answered,
    answers,
    download,
    enter,
    enter_with_history,
    say,
)
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

DENIED = """for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
    Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });"""
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"


async def titles(page: Page) -> list[str]:
    """Return the names of the chats in the list."""
    return await page.locator(".chat-title").all_inner_texts()


async def open_chat(page: Page, title: str) -> None:
    """Go to a chat of the list."""
    await page.locator(".chat-open", has_text=title).click()


async def test_chats_that_are_kept_can_be_gone_back_to(context: BrowserContext) -> None:
    page = await enter(context)
    await say(page, "The first chat")
    await answered(page, 1)
    await page.get_by_label("Message", exact=True).fill("half a thought")
    await another(page, "The second chat")
    assert await titles(page) == ["The second chat", "The first chat"]
    await expect(page.locator(".chat-expiry").first).to_have_text(re.compile(r"Expires in (1 h|\d\d min)"))
    await open_chat(page, "The first chat")
    await expect(page.locator(".bubble")).to_have_text("The first chat")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("half a thought")
    await expect(page.locator(".chat-open[aria-current]")).to_contain_text("The first chat")
    await page.keyboard.press("Enter")
    await answered(page, 2)
    await open_chat(page, "The second chat")
    await answered(page, 1)
    await page.reload()
    await expect(page.locator(".bubble")).to_have_text("The second chat")
    assert await titles(page) == ["The second chat", "The first chat"]


async def test_a_chat_can_be_renamed(context: BrowserContext) -> None:
    page = await enter(context)
    await say(page, "What it was called")
    await answered(page, 1)
    other = await context.new_page()
    await other.goto("/")
    await page.locator(".chat-row").hover()
    await page.get_by_role("button", name="Rename “What it was called”").click()
    await page.get_by_label("Name of the chat").fill("What it is called")
    await page.keyboard.press("Enter")
    for each in (page, other):
        await expect(each.locator(".chat-title")).to_have_text("What it is called")
    await say(page, "More")
    await answered(page, 2)
    await page.reload()
    await expect(page.locator(".chat-title")).to_have_text("What it is called")


@pytest.mark.parametrize(
    ("status", "news"),
    [(204, None), (404, "removed from this browser"), (503, "could not be deleted")],
    ids=["ended", "unknown to the server", "refused"],
)
async def test_a_chat_can_be_deleted(shaky: BrowserContext, status: int, news: str | None) -> None:
    asked: list[str | None] = []

    async def end(route: Route) -> None:
        asked.append(await route.request.header_value("Authorization"))
        await route.fulfill(status=status)

    page = await enter(shaky)
    await page.route("**/session", end)
    await say(page, "To be deleted")
    await answered(page, 1)
    token = await page.evaluate("sessionStorage['parley.token']")
    await another(page, "To stay")
    await page.locator(".chat-row", has_text="To be deleted").hover()
    await page.get_by_role("button", name="Delete “To be deleted”").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert asked == []
    await page.get_by_role("button", name="Delete “To be deleted”").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    if news is not None:
        await expect(page.locator(".news")).to_contain_text(news)
    kept = status == 503
    await expect(page.locator(".chat-title")).to_have_count(2 if kept else 1)
    assert asked == [f"Bearer {token}"]
    assert any(token in key for key in await page.evaluate("Object.keys(localStorage)")) == kept
    await answered(page, 1)


async def test_a_new_chat_may_end_the_one_before(context: BrowserContext) -> None:
    asked: list[str] = []

    async def end(route: Route) -> None:
        asked.append(route.request.method)
        await route.fulfill(status=204)

    page = await enter(context)
    await page.route("**/session", end)
    await say(page, "Not for long")
    await answered(page, 1)
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("dialog").get_by_role("button", name="End this chat").click()
    await expect(page.get_by_label("Your name")).to_have_value("Ada")
    await expect(page.locator(".chat-title")).to_have_count(0)
    assert asked == ["DELETE"]
    await page.reload()
    await expect(page.get_by_label("Your name")).to_be_visible()


async def test_a_chat_whose_time_is_over_leaves_the_list(context: BrowserContext, hasty: Up) -> None:
    page = await context.new_page()
    await page.goto(hasty.url)
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Soon gone")
    await expect(page.locator(".chat-expiry")).to_have_text("Expires in less than a minute")
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("dialog").get_by_role("button", name="New chat").click()
    await expect(page.get_by_text("Continue a chat")).to_be_visible()

    async def gone() -> bool:
        await page.reload()
        await expect(page.get_by_label("Your name")).to_be_visible()
        return await titles(page) == []

    await eventually(gone, "the chat leaves the list")


@pytest.mark.parametrize("trouble", [DENIED, FULL], ids=["denied", "full"])
async def test_a_browser_that_keeps_nothing_can_chat_and_has_its_chats(
    context: BrowserContext, trouble: str
) -> None:
    await context.add_init_script(trouble)
    page = await enter(context)
    await say(page, "One")
    await answered(page, 1)
    await another(page, "Two")
    assert await titles(page) == ["Two", "One"]
    await open_chat(page, "One")
    await expect(page.locator(".bubble")).to_have_text("One")


async def test_on_a_phone_the_list_comes_over_the_chat(context: BrowserContext) -> None:
    page = await enter(context)
    await page.set_viewport_size({"width": 390, "height": 780})
    await say(page, "One")
    await answered(page, 1)
    await another(page, "Two")
    await expect(page.locator(".chats")).to_have_count(0)
    await page.get_by_role("button", name="Show your chats").click()
    await expect(page.get_by_role("dialog", name="Your chats")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Your chats")).to_have_count(0)
    await expect(page.get_by_role("button", name="Show your chats")).to_be_focused()
    await page.keyboard.press("Enter")
    await open_chat(page, "One")
    await expect(page.locator(".bubble")).to_have_text("One")
    await expect(page.get_by_role("dialog", name="Your chats")).to_have_count(0)


async def test_search_finds_what_is_not_even_drawn(context: BrowserContext, talker: Up) -> None:
    page = await enter_with_history(context, talker, 1_000)
    await page.get_by_role("button", name="Search this chat").click()
    await page.keyboard.type("QUESTION 12")
    count = page.locator(".search-count")
    await expect(count).to_have_text("1 of 11")  # 12, and 120 to 129
    await expect(page.get_by_text("Question 129", exact=True)).to_be_in_viewport()
    await page.keyboard.press("Shift+Enter")
    await expect(count).to_have_text("11 of 11")
    await expect(page.get_by_text("Question 12", exact=True)).to_be_in_viewport()
    assert await page.evaluate("CSS.highlights.get('found-here').size") == 1
    await page.keyboard.type("xyz")
    await expect(count).to_have_text("Nothing found")
    await page.keyboard.press("Escape")
    await expect(page.locator(".search")).to_have_count(0)
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    assert await page.evaluate("CSS.highlights.size") == 0
    await page.get_by_role("button", name="Scroll to latest").click()
    await expect(page.get_by_text("Answer 499", exact=True)).to_be_in_viewport()


async def test_the_latest_message_can_be_shown_while_a_search_is_open(
    context: BrowserContext, talker: Up
) -> None:
    page = await enter_with_history(context, talker, 1_000)
    await page.get_by_role("button", name="Search this chat").click()
    # All at once, as pasted: the first result lies far above the end, where the view still is.
    await page.get_by_role("textbox", name="Search this chat").fill("Question 12")
    count = page.locator(".search-count")
    await expect(count).to_have_text("1 of 11")
    await expect(page.get_by_text("Question 129", exact=True)).to_be_in_viewport()
    await page.get_by_role("button", name="Scroll to latest").click()
    await expect(page.get_by_text("Answer 499", exact=True)).to_be_in_viewport()
    await page.get_by_role("textbox", name="Search this chat").press("Shift+Enter")
    await expect(count).to_have_text("11 of 11")
    await expect(page.get_by_text("Question 12", exact=True)).to_be_in_viewport()


async def test_thoughts_are_folded_away_and_the_rest_is_in_the_details(
    context: BrowserContext, words: ModelServer
) -> None:
    page = await context.new_page()
    asked: list[str] = []

    def think(socket: WebSocketRoute) -> None:
        asked.append(socket.url)
        server = socket.connect_to_server()

        def tell(text: str | bytes) -> None:
            frame = json.loads(text)
            if frame["type"] == "message":
                frame |= {"usage": {"input_tokens": 1234, "output_tokens": 56}, "shortened": True}
            socket.send(json.dumps(frame))
            if frame["type"] == "start":
                for index, thought in enumerate(("Let me ", "think.")):
                    piece = {"type": "thought", "turn": frame["turn"], "index": index, "text": thought}
                    socket.send(json.dumps(piece))
                end = {"type": "thought_end", "turn": frame["turn"], "seconds": 3.2}
                socket.send(json.dumps(end))

        server.on_message(tell)

    await page.route_web_socket("**/chat?*", think)
    await page.goto("/")
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Why?")
    await answered(page, 1)
    assert "include=thoughts" in asked[0]
    summary = page.get_by_text("Thought for 3 s")
    await expect(page.get_by_text("Let me think.")).to_be_hidden()
    await summary.click()
    await expect(page.get_by_text("Let me think.")).to_be_visible()
    assert await answers(page) == ["You said: Why?"]
    await expect(page.locator(".remark")).to_contain_text("did not see the earliest messages")
    await page.get_by_role("button", name="Details of this answer").click()
    await expect(page.locator(".details")).to_contain_text("1,234 in, 56 out")
    await page.get_by_role("button", name="More").click()
    assert "Let me think." not in await download(page, "menuitem", "Export as Markdown")
