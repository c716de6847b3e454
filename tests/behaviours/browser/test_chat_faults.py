"""A chat when tabs, processes and the network come and go."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest
from playwright.async_api import Browser, BrowserContext, WebSocketRoute, expect

from faust_redis.testing import eventually
from tests.behaviours.browser.conftest import answered, answers, enter, new_context, say
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

MANY = " ".join(f"w{number}" for number in range(60))


async def test_two_tabs_are_in_step(context: BrowserContext, words: ModelServer) -> None:
    one = await enter(context)
    await say(one, "Hello")
    await answered(one, 1)
    other = await context.new_page()
    await other.goto("/")
    await answered(other, 1)
    await say(one, MANY)
    await expect(other.locator(".running .prose")).to_contain_text("You said: w0")
    await expect(other.locator(".bubble").last).to_have_text(MANY)
    await answered(one, 2)
    await answered(other, 2)
    assert await answers(one) == await answers(other)
    words.answer = lambda _: "something else"
    await other.get_by_role("button", name="Regenerate answer").click()
    await expect(one.locator(".pager")).to_have_text("2 / 2")
    assert (await answers(one))[-1] == "something else"


async def test_another_device_sees_what_was_asked(
    context: BrowserContext, browser: Browser, talker: Up, mishaps: list[str]
) -> None:
    page = await enter(context)
    token = await page.evaluate("sessionStorage['parley.token']")
    phone = await new_context(browser, talker, mishaps)
    second = await phone.new_page()
    await second.goto("/model")
    await second.evaluate(f"sessionStorage.setItem('parley.token', '{token}')")
    await second.goto("/")
    await expect(second.locator(".empty")).to_be_visible()
    await say(page, "From the desk")
    await answered(second, 1)
    await expect(second.locator(".bubble")).to_have_text("From the desk")
    await second.get_by_label("Message", exact=True).fill("From the sofa")
    await second.keyboard.press("Enter")
    await answered(page, 2)
    assert await page.locator(".bubble").all_inner_texts() == ["From the desk", "From the sofa"]
    await phone.close()


async def test_an_answer_outlives_the_web_process_that_showed_it(shaky: BrowserContext, talker: Up) -> None:
    page = await enter(shaky)
    await say(page, MANY)
    await expect(page.locator(".running .prose")).to_contain_text("w3")
    before = talker.webs()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await answered(page, 1)
    assert await answers(page) == [f"You said: {MANY}"]
    await eventually(lambda: len(set(talker.webs()) - set(before)) == 2, "both web processes are back")
    await say(page, "And now?")
    await answered(page, 2)


async def test_an_answer_outlives_the_agent_that_made_it(context: BrowserContext, talker: Up) -> None:
    page = await enter(context)
    await say(page, MANY)
    await expect(page.locator(".running .prose")).to_contain_text("w3")
    os.kill(talker.agents("infer")[0], signal.SIGKILL)
    await expect(page.locator(".bot:not(.running)")).to_have_count(1, timeout=40_000)
    assert await answers(page) == [f"You said: {MANY}"]


async def test_what_is_written_offline_is_sent_when_the_network_is_back(shaky: BrowserContext) -> None:
    page = await enter(shaky)
    await say(page, "Hello")
    await answered(page, 1)
    await shaky.set_offline(True)
    await expect(page.get_by_text("You seem to be offline.")).to_be_visible()
    await say(page, "Are you there?")
    await expect(page.locator(".pending .meta")).to_have_text("Will be sent when connected")
    await shaky.set_offline(False)
    await answered(page, 2)
    assert await answers(page) == ["You said: Hello", "You said: Are you there?"]


async def test_a_message_that_waited_in_a_closed_tab_is_sent_by_the_next(shaky: BrowserContext) -> None:
    page = await enter(shaky)
    await say(page, "Hello")
    await answered(page, 1)
    await shaky.set_offline(True)
    await expect(page.get_by_text("You seem to be offline.")).to_be_visible()
    await say(page, "Left behind")
    await page.close()
    await shaky.set_offline(False)
    page = await shaky.new_page()
    await page.goto("/")
    await answered(page, 2)
    assert await page.locator(".bubble").all_inner_texts() == ["Hello", "Left behind"]


async def test_a_server_that_asks_to_wait_is_obeyed(context: BrowserContext) -> None:
    page = await context.new_page()
    refused: list[str] = []

    def refuse(socket: WebSocketRoute) -> None:
        def answer(text: str | bytes) -> None:
            refused.append(json.loads(text)["id"])
            frame = {"type": "error", "id": refused[-1], "code": "rate_limited", "retryable": True}
            socket.send(json.dumps({**frame, "detail": "Too many messages.", "retry_after": 2}))

        socket.on_message(answer)

    await page.route_web_socket("**/chat?*", refuse)
    await page.goto("/")
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Hurry")
    await expect(page.locator(".failure")).to_contain_text("Too many messages.")
    again = page.get_by_role("button", name="Send again")
    await expect(again).to_be_disabled()
    await expect(again).to_have_text(re.compile(r"Send again in [12] s"))
    await expect(again).to_be_enabled()
    await again.click()
    await eventually(lambda: len(refused) == 2, "the message is sent once more")
    assert refused[0] != refused[1]
    await page.get_by_role("button", name="Discard").click()
    await expect(page.locator(".pending")).to_have_count(0)


async def test_a_model_that_says_nothing_is_told_of(context: BrowserContext, words: ModelServer) -> None:
    page = await context.new_page()
    await page.clock.install()
    await page.goto("/")
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    words.fail_next("hang")
    await say(page, "Hello?")
    await expect(page.locator(".running")).to_contain_text("Waiting")
    await page.clock.fast_forward(15_000)
    await expect(page.locator(".stalled")).to_contain_text(re.compile(r"for 1\d s"))
    await page.get_by_role("button", name="Stop the answer").click()
    await expect(page.locator(".running")).to_have_count(0)
