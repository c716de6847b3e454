"""A chat over a network that is not what it seems."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.behaviours.browser.conftest import answered, answers, enter, new_context, say
from tests.behaviours.conftest import CHROMIUM
from tests.support.model_server import ModelServer
from tests.support.relays import PathProxy, Relay
from tests.support.service import CLONE, Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

# Within which a dead connection is noticed, in seconds.
NOTICED = 15
NOTE = "The server does not answer."


async def relayed(browser: Browser, relay: Relay, talker: Up, mishaps: list[str]) -> Page:
    """Begin a chat through a relay."""
    context = await new_context(browser, talker, mishaps)
    page = await context.new_page()
    await page.goto(relay.url)
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Hello")
    await answered(page, 1)
    return page


async def test_without_any_network_a_page_talks_to_a_service_on_its_machine(context: BrowserContext) -> None:
    await context.add_init_script("Object.defineProperty(Navigator.prototype, 'onLine', {get: () => false})")
    page = await enter(context)
    await page.evaluate("dispatchEvent(new Event('offline'))")
    await say(page, "Hello")
    await answered(page, 1)
    assert await page.locator(".floating").inner_text() == ""


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


async def test_a_machine_without_any_other_interface_than_the_loopback_chats(tmp_path: Path) -> None:
    if shutil.which("ip") is None or shutil.which(CHROMIUM) is None:
        pytest.skip("there is no ip or no Chromium")
    alone = ("unshare", "--net")
    if shutil.which("unshare") is None or not await asyncio.to_thread(_runs, *alone, "true"):
        pytest.skip("no network namespace can be made here")
    command = [*alone, sys.executable, "-m", "tests.behaviours.browser.lonely_chat", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, cwd=CLONE, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    seen = json.loads(output)
    assert (seen["online"], seen["answers"], seen["note"]) == (False, ["You said: Hello"], "")
    assert "offline" not in seen["note at the end"]


async def test_a_message_into_a_dead_connection_is_noticed_and_delivered_once(
    browser: Browser, relay: Relay, talker: Up, words: ModelServer, mishaps: list[str]
) -> None:
    page = await relayed(browser, relay, talker, mishaps)
    relay.go_deaf()
    await say(page, "Are you there?")
    begun = time.monotonic()
    await expect(page.get_by_text(NOTE)).to_be_visible(timeout=NOTICED * 1000)
    assert time.monotonic() - begun < NOTICED
    await expect(page.locator(".pending .meta")).to_have_text("Will be sent when connected")
    relay.hear_again()
    await answered(page, 2)
    await expect(page.get_by_text(NOTE)).to_be_hidden()
    assert await answers(page) == ["You said: Hello", "You said: Are you there?"]
    asked = [request.body["messages"][-1]["content"] for request in words.requests]
    assert asked.count("Are you there?") == 1
    await page.context.close()


async def test_a_connection_that_dies_while_nothing_is_said_is_noticed(
    browser: Browser, relay: Relay, talker: Up, mishaps: list[str]
) -> None:
    page = await relayed(browser, relay, talker, mishaps)
    relay.go_deaf()
    await expect(page.get_by_text(NOTE)).to_be_visible(timeout=NOTICED * 1000)
    relay.hear_again()
    await expect(page.get_by_text(NOTE)).to_be_hidden()
    await page.context.close()


async def test_web_processes_that_stand_still_are_noticed(shaky: BrowserContext, talker: Up) -> None:
    page = await enter(shaky)
    stopped = talker.webs()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        await say(page, "Hello?")
        await expect(page.get_by_text(NOTE)).to_be_visible(timeout=NOTICED * 1000)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    await answered(page, 1)
    assert await answers(page) == ["You said: Hello?"]


async def test_everything_works_below_a_path(
    context: BrowserContext, words: ModelServer, behind_path: Callable[[], PathProxy]
) -> None:
    words.answer = lambda _: "```python\nprint(1)\n```"
    async with behind_path() as proxy:
        page = await context.new_page()
        await page.goto(proxy.url)
        await page.get_by_label("Your name").fill("Ada")
        await page.keyboard.press("Enter")
        await say(page, "Hello")
        await answered(page, 1)
        await expect(page.locator(".code [data-kind]").first).to_be_visible()  # a part that is loaded later
        await page.reload()
        await answered(page, 1)
        await page.get_by_role("button", name="More").click()
        stages = await page.get_by_role("menuitem", name="Stages").get_attribute("href")
        assert stages == f"{proxy.url}stages"
        await page.goto(stages)
        await expect(page.locator("#flow li").first).to_be_visible()
        await page.get_by_role("link", name="Parley").click()
        await answered(page, 1)
        await page.close()
