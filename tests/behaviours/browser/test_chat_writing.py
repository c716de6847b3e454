"""Writing in a chat: long texts, input methods, phones, and the second thoughts of a person."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser, BrowserContext, Page, WebSocketRoute, expect

from faust_redis.testing import eventually
from tests.behaviours.browser.conftest import answered, answers, enter, say
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

LIMIT = 65_536
LONG = 300_000  # more than is kept where short drafts are


async def length(page: Page) -> int:
    """Return how long the text is that is being written."""
    return int(await page.evaluate("document.getElementById('text').value.length"))


async def kept(page: Page, characters: int) -> bool:
    """Return whether the browser keeps a draft of so many characters, wherever it keeps it."""
    return bool(
        await page.evaluate(
            """(count) => new Promise((resolve) => {
                const short = Object.entries(localStorage).find(([key]) => key.startsWith('parley.draft.'));
                if (short?.[1].length === count) return resolve(true);
                const opening = indexedDB.open('parley');
                opening.onsuccess = () => {
                    const database = opening.result;
                    if (!database.objectStoreNames.contains('drafts')) return resolve(false);
                    const reading = database.transaction('drafts').objectStore('drafts').getAll();
                    reading.onsuccess = () => {
                        database.close();
                        resolve(reading.result.some((text) => text.length === count));
                    };
                };
            })""",
            characters,
        )
    )


async def paste(page: Page, characters: int) -> None:
    """Put a text of so many characters into the field, as if it were pasted."""
    await page.evaluate(
        """(count) => {
            const field = document.getElementById('text');
            field.value = 'x'.repeat(count);
            field.dispatchEvent(new InputEvent('input', { bubbles: true, inputType: 'insertFromPaste' }));
        }""",
        characters,
    )


@pytest.mark.parametrize("characters", [LIMIT + 1, LONG])
async def test_a_text_that_is_too_long_stays_to_be_shortened_also_after_a_reload(
    context: BrowserContext, characters: int
) -> None:
    page = await enter(context)
    await paste(page, characters)
    note = page.locator(".size-note")
    await expect(note).to_contain_text("The limit is 64 KB")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await page.keyboard.press("Enter")
    assert await length(page) == characters
    await expect(page.locator(".pending")).to_have_count(0)
    await eventually(lambda: kept(page, characters), "the draft is on disk")
    await page.reload()
    await expect(note).to_be_visible()
    assert await length(page) == characters
    await page.get_by_label("Message", exact=True).fill("short")
    await expect(note).to_have_count(0)
    await page.keyboard.press("Enter")
    await answered(page, 1)
    assert await answers(page) == ["You said: short"]


async def test_seventeen_megabytes_that_are_pasted_hold_up_nothing_and_can_be_shortened(
    context: BrowserContext,
) -> None:
    page = await enter(context)
    sent: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    line = "a line of text, pasted\n"
    await page.evaluate("(line) => navigator.clipboard.writeText(line.repeat(17e6 / line.length))", line)
    await page.keyboard.press("Control+v")
    note = page.locator(".size-note")
    await expect(note).to_contain_text("16 MB. The limit is 64 KB")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await page.evaluate(
        "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
    )
    size = 17_000_000 // len(line) * len(line)
    await eventually(lambda: kept(page, size), "the draft is on disk")
    await page.reload()
    await expect(note).to_contain_text("16 MB")
    await page.get_by_role("button", name="Keep the first 64 KB").click()
    await expect(note).to_have_count(0)
    assert await length(page) == LIMIT
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    await page.get_by_label("Message", exact=True).fill("short")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    assert max(map(len, sent), default=0) < LIMIT


async def test_a_text_that_the_server_cannot_even_read_comes_back_to_be_edited(shaky: BrowserContext) -> None:
    page = await shaky.new_page()
    opened: list[str] = []

    def hang_up(socket: WebSocketRoute) -> None:
        opened.append(socket.url)
        server = socket.connect_to_server()

        async def read(text: str | bytes) -> None:
            if len(text) > LIMIT:
                await socket.close(code=1009, reason="message too big")
            else:
                server.send(text)

        socket.on_message(read)

    await page.route_web_socket("**/chat?*", hang_up)
    await page.route("**/model", lambda route: route.fulfill(status=503, json={}))  # the limit stays unknown
    await page.goto("/")
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await paste(page, LONG)
    await page.keyboard.press("Enter")
    await eventually(lambda: len(opened) == 2, "another connection is made")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    assert await length(page) == LONG
    await expect(page.locator(".pending")).to_have_count(0)
    await page.get_by_label("Message", exact=True).fill("short")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    assert len(opened) == 2, "it is not sent again and again"


async def test_a_message_that_was_refused_can_be_edited(context: BrowserContext) -> None:
    page = await context.new_page()

    def refuse(socket: WebSocketRoute) -> None:
        def answer(text: str | bytes) -> None:
            sent = json.loads(text)
            if sent["type"] == "message":
                frame = {"type": "error", "id": sent["id"], "code": "rate_limited", "retryable": True}
                socket.send(json.dumps({**frame, "detail": "Too many messages."}))

        socket.on_message(answer)

    await page.route_web_socket("**/chat?*", refuse)
    await page.goto("/")
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Not so fast")
    await expect(page.locator(".failure")).to_contain_text("Too many messages.")
    await page.reload()
    await page.locator(".failure").get_by_role("button", name="Edit").click()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("Not so fast")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await expect(page.locator(".pending")).to_have_count(0)


async def test_the_key_that_ends_a_composition_sends_nothing(context: BrowserContext) -> None:
    page = await enter(context)
    await page.get_by_label("Message", exact=True).fill("にほん")
    # As Safari tells it: the composition ends first, and the key that ended it comes after it.
    await page.evaluate(
        """() => {
            const field = document.getElementById('text');
            field.dispatchEvent(new CompositionEvent('compositionstart', { bubbles: true }));
            field.dispatchEvent(new CompositionEvent('compositionend', { bubbles: true, data: '日本' }));
            const key = { key: 'Enter', keyCode: 229, which: 229, bubbles: true, cancelable: true };
            field.dispatchEvent(new KeyboardEvent('keydown', key));
            // As the others do.
            const within = { ...key, keyCode: 13, which: 13, isComposing: true };
            field.dispatchEvent(new KeyboardEvent('keydown', within));
        }"""
    )
    await expect(page.get_by_label("Message", exact=True)).to_have_value("にほん")
    await expect(page.locator(".bubble")).to_have_count(0)
    await page.keyboard.press("Enter")
    await answered(page, 1)
    assert await answers(page) == ["You said: にほん"]


async def test_on_a_phone_enter_makes_a_new_line(browser: Browser, talker: Up) -> None:
    phone = await browser.new_context(
        base_url=talker.url, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True
    )
    page = await enter(phone)
    await page.keyboard.type("one")
    await page.keyboard.press("Enter")
    await page.keyboard.type("two")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("one\ntwo")
    await expect(page.get_by_label("Message", exact=True)).to_have_attribute("enterkeyhint", "enter")
    await expect(page.locator("#keys")).to_be_hidden()
    await page.get_by_role("button", name="Send", exact=True).tap()
    await answered(page, 1)
    await expect(page.locator(".bubble")).to_have_text("one\ntwo")
    await phone.close()


async def test_undo_works_as_the_browser_does_it(context: BrowserContext) -> None:
    page = await enter(context)
    field = page.get_by_label("Message", exact=True)
    await page.keyboard.insert_text("first")
    await page.keyboard.press("Control+a")
    await page.keyboard.insert_text("second")
    await page.keyboard.press("Control+z")
    await expect(field).to_have_value("first")
    await page.keyboard.press("Control+z")
    await expect(field).to_have_value("")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await page.keyboard.press("Control+Shift+z")
    await expect(field).to_have_value("first")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


async def test_the_last_message_can_be_edited_and_the_old_branch_stays_a_click_away(
    context: BrowserContext, words: ModelServer
) -> None:
    page = await enter(context)
    await say(page, "Before")
    await answered(page, 1)
    await say(page, "What is a steam?")
    await answered(page, 2)
    other = await context.new_page()
    await other.goto("/")
    await answered(other, 2)
    await expect(page.get_by_role("button", name="Edit message")).to_have_count(
        1
    )  # of the last message alone
    await page.get_by_role("button", name="Edit message").click()
    field = page.get_by_label("Edit your message")
    await expect(field).to_be_focused()
    await field.fill("What is a stream?")
    await page.keyboard.press("Enter")
    new = ["You said: Before", "You said: What is a stream?"]
    for each in (page, other):
        pager = each.locator(".human .pager")
        await expect(pager).to_have_text("2 / 2")
        await answered(each, 2)
        assert await answers(each) == new
    asked = [message["content"] for message in words.requests[-1].body["messages"]]
    assert "What is a stream?" in asked
    assert "What is a steam?" not in asked
    await page.reload()
    await answered(page, 2)
    assert await answers(page) == new
    await page.get_by_role("button", name="Older message").click()
    await expect(page.locator(".bubble").last).to_have_text("What is a steam?")
    assert await answers(page) == ["You said: Before", "You said: What is a steam?"]
    await expect(page.get_by_role("button", name="Regenerate answer")).to_have_count(0)
    await page.get_by_role("button", name="Newer message").click()
    assert await answers(page) == new
    await say(page, "Go on")
    await answered(page, 3)


async def test_an_edit_can_be_given_up(context: BrowserContext) -> None:
    page = await enter(context)
    await say(page, "As it was")
    await answered(page, 1)
    await page.get_by_role("button", name="Edit message").click()
    await page.keyboard.type(" and more")
    await page.keyboard.press("Escape")
    await expect(page.locator(".bubble")).to_have_text("As it was")
    await expect(page.get_by_label("Edit your message")).to_have_count(0)
