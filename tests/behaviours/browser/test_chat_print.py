"""A chat on paper: all of it, and nothing that can only be pressed."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.behaviours.browser.conftest import answered, enter, say
from tests.support.model_server import ModelServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words", "at_once")]

MESSAGES = 45  # with their answers more than the 60 entries that the page draws at first
LINE = "result = " + " + ".join(f"value_{number}" for number in range(60))


async def _printed(page: Page, path: Path) -> str:
    """Print a page into a PDF; return the text on the paper."""
    if shutil.which("pdftotext") is None:
        pytest.skip("there is no pdftotext (poppler-utils)")
    await page.pdf(path=path, format="A4")
    process = await asyncio.create_subprocess_exec(
        "pdftotext", "-layout", str(path), "-", stdout=asyncio.subprocess.PIPE
    )
    text, _ = await process.communicate()
    assert process.returncode == 0
    return text.decode()


async def test_the_whole_chat_is_printed(context: BrowserContext, words: ModelServer, tmp_path: Path) -> None:
    words.answer = lambda question: f"The **answer** to {question.last}."
    page = await enter(context)
    for number in range(MESSAGES):
        await say(page, f"question-{number:03}")
        await expect(page.locator(".bubble").last).to_have_text(f"question-{number:03}")
    await expect(page.locator(".bot:not(.running)")).to_have_count(MESSAGES, timeout=60_000)
    await page.reload()
    await expect(page.locator(".earlier")).to_be_visible()
    text = await _printed(page, tmp_path / "chat.pdf")
    asked = re.findall(r"^\s*question-(\d+)$", text, re.MULTILINE)
    given = re.findall(r"The answer to question-(\d+)\.", text)
    assert asked == given == [f"{number:03}" for number in range(MESSAGES)]
    for noise in ("Parley", "New chat", "Write a message", "Earlier messages", "Enter sends", "**"):
        assert noise not in text
    await expect(page.locator(".earlier")).to_be_visible()  # on the screen all is as it was


async def test_long_code_and_tables_are_not_cut_off(
    context: BrowserContext, words: ModelServer, tmp_path: Path
) -> None:
    names = [f"n{number:02}" for number in range(10)]
    table = f"|{'|'.join(names)}|\n|{'-|' * 10}\n|{'|'.join(['a long text'] * 10)}|"
    words.answer = lambda _: f"```python\n{LINE}\n```\n\n{table}\n\nEnd."
    page = await enter(context)
    await say(page, "?")
    await answered(page, 1)
    text = "".join((await _printed(page, tmp_path / "code.pdf")).split())
    assert LINE.replace(" ", "") in text
    assert "".join(names) in text


async def test_a_long_answer_is_printed_to_its_end(
    context: BrowserContext, words: ModelServer, tmp_path: Path
) -> None:
    words.answer = lambda _: "\n\n".join(f"Paragraph number {number} of many." for number in range(3_000))
    page = await enter(context)
    await say(page, "?")
    await answered(page, 1)
    await page.reload()
    await expect(page.locator(".bot")).to_have_count(1)
    text = await _printed(page, tmp_path / "long.pdf")
    assert len(re.findall(r"Paragraph number \d+ of many\.", text)) == 3_000


async def test_the_print_key_waits_for_formulas_that_were_never_seen(
    context: BrowserContext, words: ModelServer
) -> None:
    words.answer = lambda question: f"${question.last}_1$"
    # Headless, `print` does nothing: what the paper would show is counted instead, into the title.
    count = "document.title = `${document.querySelectorAll('.katex').length} drawn`"
    await context.add_init_script(f"window.print = () => {{ {count} }}")
    page = await enter(context)
    for number in range(MESSAGES):
        await say(page, f"{number}")
        await expect(page.locator(".bubble").last).to_have_text(f"{number}")
    await expect(page.locator(".bot:not(.running)")).to_have_count(MESSAGES, timeout=60_000)
    await page.reload()
    await expect(page.locator(".earlier")).to_be_visible()
    assert await page.locator(".bot").count() < MESSAGES
    await page.keyboard.press("Control+p")
    await expect(page).to_have_title(f"{MESSAGES} drawn")


async def test_paper_is_white_in_the_dark(context: BrowserContext, words: ModelServer) -> None:
    words.answer = lambda _: "> quote"
    page = await enter(context)
    await say(page, "?")
    await answered(page, 1)
    await page.emulate_media(color_scheme="dark", media="print")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    await expect(page.locator("body")).to_have_css("color", "rgb(0, 0, 0)")
    await expect(page.locator(".composer")).to_be_hidden()
    await expect(page.locator(".top")).to_be_hidden()
    await expect(page.get_by_role("button", name="Copy answer")).to_be_hidden()
