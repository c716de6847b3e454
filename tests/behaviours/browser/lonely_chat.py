"""A program: the service, its model and Chromium in a network namespace that has nothing but a loopback.

    unshare --net python -m tests.behaviours.browser.lonely_chat FOLDER

It prints what the page shows, as JSON: whether the browser believes to be online, the answers, the note about
the connection while the service answers, and the one after it has ended.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from tests.behaviours.browser.conftest import answered, answers, say
from tests.behaviours.conftest import CHROMIUM
from tests.support.model_server import ModelServer
from tests.support.service import Up, started


async def chat(page: Page, up: Up) -> dict[str, object]:
    """Chat once, then end the service; return what was seen."""
    await page.goto(up.url)
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await say(page, "Hello")
    await answered(page, 1)
    note = page.locator(".floating")
    seen: dict[str, object] = {
        "online": await page.evaluate("navigator.onLine"),
        "answers": await answers(page),
        "note": await note.inner_text(),
    }
    await asyncio.to_thread(up.close)
    await expect(note).to_contain_text("What you write is sent", timeout=20_000)
    return {**seen, "note at the end": await note.inner_text()}


async def main(folder: Path) -> None:
    """Run the service and the browser, and print what was seen."""
    async with ModelServer() as model, async_playwright() as playwright:
        service = started(folder, MODEL_URL=model.chat_url, APP_ENV="production")
        up = await asyncio.to_thread(service.__enter__)
        try:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            print(json.dumps(await chat(await browser.new_page(), up)))
            await browser.close()
        finally:
            up.close()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    asyncio.run(main(Path(sys.argv[1])))
