"""A chat as a person has it, in a real browser over the real service."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import BrowserContext, Page, expect

from faust_redis.testing import eventually
from tests.behaviours.browser.conftest import answered, answers, download, enter, enter_with_history, say
from tests.behaviours.conftest import SESSION_TTL
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

CODE = "Like this:\n\n```python\nprint('hello')\n```\n\nThat is **all**."
LONG = "\n\n".join(f"Paragraph {number} has a few words in it." for number in range(1000))


async def test_an_answer_appears_word_by_word_and_is_there_after_a_reload(
    context: BrowserContext, words: ModelServer
) -> None:
    words.token_delay = 0.2  # so that a busy machine sees a part of it
    page = await enter(context)
    await say(page, "one two three four five six seven eight nine ten")
    running = page.locator(".running .prose")
    await expect(running).to_contain_text("You said: one")
    assert "ten" not in await running.inner_text()
    await answered(page, 1)
    said = ["You said: one two three four five six seven eight nine ten"]
    assert await answers(page) == said
    await page.reload()
    await answered(page, 1)
    assert await answers(page) == said
    await expect(page.locator(".human .bubble")).to_have_count(1)


async def test_code_is_set_apart_and_can_be_copied(context: BrowserContext, words: ModelServer) -> None:
    words.answer = lambda _: CODE
    page = await enter(context)
    await say(page, "How?")
    await answered(page, 1)
    await expect(page.locator(".code pre")).to_have_text("print('hello')")
    await expect(page.locator(".prose strong")).to_have_text("all")
    await page.get_by_role("button", name="Copy code").click()
    assert await page.evaluate("navigator.clipboard.readText()") == "print('hello')"
    await page.get_by_role("button", name="Copy answer").click()
    await expect(page.get_by_role("button", name="Copied")).to_have_count(2)
    assert await page.evaluate("navigator.clipboard.readText()") == CODE


async def test_a_stopped_answer_keeps_what_came(context: BrowserContext, words: ModelServer) -> None:
    words.answer = lambda _: LONG
    page = await enter(context)
    await say(page, "Go on")
    await expect(page.locator(".running .prose")).to_contain_text("Paragraph 0")
    await page.get_by_role("button", name="Stop the answer").click()
    await answered(page, 1)
    await expect(page.locator(".remark")).to_have_text("You stopped this answer.")
    [text] = await answers(page)
    assert text.startswith("Paragraph 0")
    assert "Paragraph 999" not in text
    await page.reload()
    await answered(page, 1)
    await expect(page.locator(".remark")).to_be_visible()


async def test_an_answer_made_anew_keeps_the_older_one_a_click_away(
    context: BrowserContext, words: ModelServer
) -> None:
    versions = iter(["first", "second"])
    words.answer = lambda _: next(versions)
    page = await enter(context)
    await say(page, "Which?")
    await answered(page, 1)
    await page.get_by_role("button", name="Regenerate answer").click()
    await expect(page.locator(".pager")).to_have_text("2 / 2")
    assert await answers(page) == ["second"]
    await page.get_by_role("button", name="Older answer").click()
    assert await answers(page) == ["first"]
    await page.reload()
    await expect(page.locator(".pager")).to_have_text("2 / 2")
    assert await answers(page) == ["second"]


async def test_after_an_error_one_press_tries_again(context: BrowserContext, words: ModelServer) -> None:
    page = await enter(context)
    words.fail_next(status=500, body={"error": "out of memory"})
    await say(page, "Once more")
    failure = page.locator(".failure")
    await expect(failure).to_contain_text("The model server failed", timeout=30_000)
    await expect(failure).not_to_contain_text("out of memory")  # the server's words are for operators
    await failure.get_by_role("button", name="Try again").click()
    await answered(page, 1)
    assert await answers(page) == ["You said: Once more"]
    await expect(failure).to_have_count(0)


async def test_an_answer_that_broke_off_is_kept_and_marked(
    context: BrowserContext, words: ModelServer
) -> None:
    page = await enter(context)
    words.fail_next("die_mid_stream", after=4)
    await say(page, "one two three four five six")
    await answered(page, 1)
    await expect(page.locator(".remark")).to_contain_text("cut off")
    assert "six" not in (await answers(page))[0]


async def test_messages_sent_at_once_wait_in_a_queue_that_is_shown(
    context: BrowserContext, words: ModelServer
) -> None:
    words.fail_next("hang")
    page = await enter(context)
    for text in ("first", "second", "third"):
        await say(page, text)
    await expect(page.locator(".pending .meta").first).to_have_text("Next in the queue")
    await expect(page.locator(".pending .meta").last).to_have_text("In the queue, 1 ahead")
    await page.get_by_role("button", name="Stop the answer").click()
    await answered(page, 3)
    # A stopped turn leaves two messages of the user side by side, which the model gets as one.
    assert await answers(page) == ["", "You said: first\n\nsecond", "You said: third"]
    await expect(page.locator(".pending")).to_have_count(0)


async def test_a_reader_who_went_up_is_left_alone(context: BrowserContext, words: ModelServer) -> None:
    words.answer = lambda _: LONG
    words.token_delay = 0.01
    page = await enter(context)
    await say(page, "Tell")
    await expect(page.locator(".running")).to_contain_text("Paragraph 25")
    await page.get_by_role("region", name="Conversation").hover()
    await page.mouse.wheel(0, -150)
    jump = page.get_by_role("button", name="Follow the answer")
    await expect(jump).to_be_visible()
    top = await page.evaluate("document.querySelector('.scroll').scrollTop")
    before = await page.locator(".running p").count()
    await eventually(lambda: longer(page, before + 10), "the answer goes on")
    assert await page.evaluate("document.querySelector('.scroll').scrollTop") == top
    await jump.click()
    await eventually(lambda: at_end(page), "the end is in view")
    await page.get_by_role("button", name="Stop the answer").click()
    await answered(page, 1)
    assert await at_end(page)


async def test_a_screen_reader_is_told_of_the_start_and_the_end_only(context: BrowserContext) -> None:
    page = await enter(context)
    await page.evaluate(
        """() => {
            window.told = [];
            const regions = document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log]');
            const tell = (changes) => window.told.push(changes[0].target.textContent.trim());
            const options = { childList: true, characterData: true, subtree: true };
            for (const region of regions) new MutationObserver(tell).observe(region, options);
        }"""
    )
    await say(page, "one two three four five six seven eight nine ten")
    await answered(page, 1)
    told = [text for text in await page.evaluate("window.told") if text]  # what vanishes is not spoken
    assert told == [
        "Answering.",
        "Answer complete. You said: one two three four five six seven eight nine ten",
    ]


async def test_everything_can_be_done_with_the_keyboard_alone(context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto("/")
    await expect(page.get_by_label("Your name")).to_be_focused()
    await page.keyboard.type("Grace")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type("line one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("line two")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    await expect(page.locator(".bubble")).to_have_text("line one\nline two")
    await page.get_by_role("button", name="More").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem", name="Export as Markdown")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("menuitem", name="Export as JSON")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="More")).to_be_focused()
    await page.get_by_role("button", name="Regenerate answer").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".pager")).to_have_text("2 / 2")


async def test_a_chat_can_be_exported(context: BrowserContext) -> None:
    page = await enter(context)
    await say(page, "Keep this")
    await answered(page, 1)
    texts: dict[str, str] = {}
    for kind in ("Markdown", "JSON"):
        await page.get_by_role("button", name="More").click()
        texts[kind] = await download(page, "menuitem", f"Export as {kind}")
    assert "## Ada" in texts["Markdown"]
    assert "You said: Keep this" in texts["Markdown"]
    messages = json.loads(texts["JSON"])["messages"]
    assert [(each["role"], each["text"]) for each in messages] == [
        ("user", "Keep this"),
        ("assistant", "You said: Keep this"),
    ]
    token = await page.evaluate("sessionStorage['parley.token']")
    assert not any(token in text for text in texts.values())


async def test_what_was_not_sent_yet_outlives_a_reload(context: BrowserContext) -> None:
    page = await enter(context)
    await page.get_by_label("Message", exact=True).fill("half a thou")
    await page.reload()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("half a thou")


async def test_a_new_chat_begins_after_a_question(context: BrowserContext) -> None:
    page = await enter(context)
    await say(page, "Hello")
    await answered(page, 1)
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("button", name="Stay").click()
    await answered(page, 1)
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("dialog").get_by_role("button", name="New chat").click()
    await expect(page.get_by_label("Your name")).to_have_value("Ada")
    await page.keyboard.press("Enter")
    await expect(page.locator(".empty h2")).to_have_text("Hello, Ada.")


async def test_a_chat_that_expired_can_still_be_exported(
    context: BrowserContext, mishaps: list[str], hasty: Up
) -> None:
    page = await context.new_page()
    await page.goto(hasty.url)
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Remember me")
    await answered(page, 1)
    # The session lives for three seconds: a message of after them comes too late.
    heading = page.get_by_role("heading", name="This chat has expired")
    await page.wait_for_timeout(SESSION_TTL * 1000)
    await say(page, "Still there?")
    await expect(heading).to_be_visible()
    assert "Remember me" in await download(page, "button", "Export Markdown")
    await page.reload()
    await expect(heading).to_be_visible()
    await expect(page.locator(".bubble").first).to_have_text("Remember me")
    await page.locator(".expired").get_by_role("button", name="New chat").click()
    await expect(page.get_by_label("Your name")).to_have_value("Ada")
    mishaps[:] = [each for each in mishaps if "400 (Bad Request)" not in each]  # how the server says it


async def test_a_session_that_was_ended_elsewhere_is_not_connected_to_again(
    context: BrowserContext,
) -> None:
    page = await enter(context)
    await say(page, "Remember me")
    await answered(page, 1)
    again: list[str] = []
    page.on("websocket", lambda socket: again.append(socket.url))
    page.on("request", lambda request: again.append(request.url))
    kept = await page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    (token,) = set(re.findall("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", kept))
    response = await page.request.delete(f"/session?token={token}")
    assert response.status == 204
    await expect(page.get_by_role("heading", name="This chat has expired")).to_be_visible()
    await page.wait_for_timeout(3000)  # longer than the first pause before another try
    assert [url for url in again if "/chat" in url] == []
    await expect(page.locator(".bubble").first).to_have_text("Remember me")
    await page.locator(".expired").get_by_role("button", name="New chat").click()
    await expect(page.get_by_label("Your name")).to_have_value("Ada")


async def test_it_says_when_eliza_answers(context: BrowserContext) -> None:
    page = await context.new_page()
    await page.route("**/model", lambda route: route.fulfill(json={"kind": "eliza", "name": "ELIZA"}))
    await page.goto("/")
    await expect(page.locator(".model-note")).to_contain_text("a rule-based program of 1966")
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(page.locator(".chip")).to_contain_text("ELIZA")


@pytest.mark.parametrize("width", [320, 768, 1920])
async def test_nothing_sticks_out_at_any_width(
    context: BrowserContext, words: ModelServer, width: int
) -> None:
    words.answer = lambda _: (
        f"{'w' * 300}\n\n```\n{'c' * 300}\n```\n\n|{'t' * 80}|{'t' * 80}|\n|---|---|\n|1|2|"
    )
    words.token_delay = 0
    page = await enter(context, "A" * 64)
    await page.set_viewport_size({"width": width, "height": 640})
    await say(page, "m" * 300)
    await answered(page, 1)
    for part in ("html", ".scroll", "header"):
        sizes = f"(e => [e.scrollWidth, e.clientWidth])(document.querySelector('{part}'))"
        inner, outer = await page.evaluate(sizes)
        assert inner <= outer, part


async def test_nothing_moves_when_an_answer_ends(context: BrowserContext) -> None:
    page = await enter(context)
    await page.evaluate(
        """() => {
            window.moved = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.moved += entry.hadRecentInput ? 0 : entry.value;
            }).observe({ type: 'layout-shift', buffered: false });
        }"""
    )
    await say(page, "one two three four five six seven eight nine ten")
    await answered(page, 1)
    assert await page.evaluate("window.moved") < 0.01


async def test_ten_thousand_messages_are_no_burden(context: BrowserContext, talker: Up) -> None:
    page = await enter_with_history(context, talker, 10_000)
    assert await at_end(page)
    assert await page.locator(".messages > li").count() < 200
    await say(page, "one more")
    await expect(page.locator(".prose").last).to_have_text("You said: one more")
    await page.evaluate("document.querySelector('.scroll').scrollTop = 0")
    await expect(page.locator(".bubble").first).to_have_text("Question 4940")


async def longer(page: Page, paragraphs: int) -> bool:
    return await page.locator(".running p").count() >= paragraphs


async def at_end(page: Page) -> bool:
    left = "(e => e.scrollHeight - e.scrollTop - e.clientHeight)(document.querySelector('.scroll'))"
    return bool(await page.evaluate(left) < 2)
