"""How answers look: other scripts, maths and Markdown as models write it, on a desk and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Locator, Page, ViewportSize, expect

from tests.behaviours.browser.conftest import answered, enter, say
from tests.support.model_server import ModelServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words", "at_once")]

DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SHOTS = os.environ.get("SCREENSHOTS")  # a folder for pictures of the pages, to be looked at

ANSWERS = Path(__file__).parent / "conversations"


async def _shown(context: BrowserContext, words: ModelServer, name: str) -> Page:
    """Return a page with the answer of this name; take pictures of it when they are asked for."""
    text = (ANSWERS / f"{name}.md").read_text()
    words.answer = lambda _: text
    page = await enter(context)
    await page.set_viewport_size(DESK)
    await say(page, "?")
    await answered(page, 1)
    if SHOTS:
        await page.wait_for_timeout(1500)
        for size, width in (("desk", DESK), ("phone", PHONE)):
            await page.set_viewport_size({"width": width["width"], "height": 2200})
            await page.screenshot(path=Path(SHOTS) / f"{name}-{size}.png")
        await page.emulate_media(color_scheme="dark")
        await page.screenshot(path=Path(SHOTS) / f"{name}-dark.png")
        await page.emulate_media(color_scheme=None)
        await page.set_viewport_size(DESK)
    return page


async def _edges(locator: Locator) -> tuple[float, float]:
    """Return where the text of an element begins and ends on the screen."""
    left, right = await locator.evaluate(
        """(element) => {
          const range = document.createRange();
          range.selectNodeContents(element);
          const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
          return [Math.min(...boxes.map((box) => box.left)), Math.max(...boxes.map((box) => box.right))];
        }"""
    )
    return left, right


async def _fits(page: Page) -> None:
    """Nothing of the page or of the answer is wider than a phone."""
    await page.set_viewport_size(PHONE)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    column = page.locator(".scroll")
    assert await column.evaluate("(element) => element.scrollWidth <= element.clientWidth")
    clipped = await page.locator(".prose > *").evaluate_all(
        """(elements) => elements.filter((each) => each.scrollWidth > each.clientWidth + 1
          && getComputedStyle(each).overflowX === "visible").map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert clipped == []


async def test_a_chinese_answer_is_set_as_it_was_meant(context: BrowserContext, words: ModelServer) -> None:
    page = await _shown(context, words, "cjk")
    prose = page.locator(".prose")
    assert "**" not in await prose.inner_text()
    await expect(prose.locator("strong").first).to_have_text("流处理。")
    assert await prose.locator("ol").evaluate("(list) => list.start") == 0
    hrefs = [await each.get_attribute("href") for each in await prose.locator("li a").all()]
    assert hrefs == ["https://redis.io/docs/streams", "https://example.org/ack"]
    await expect(prose.locator("td br")).to_have_count(1)
    await expect(prose.locator(".source")).to_have_count(2)
    await expect(prose.locator("blockquote a")).to_have_text(["[1]", "[2]"])
    await _fits(page)


async def test_an_arabic_answer_runs_from_right_to_left(context: BrowserContext, words: ModelServer) -> None:
    page = await _shown(context, words, "arabic")
    prose = page.locator(".prose")
    left, right = await _edges(prose)
    paragraph = prose.locator("> p").first
    assert await paragraph.evaluate("(p) => getComputedStyle(p).direction") == "rtl"
    assert right - (await _edges(paragraph))[1] < 4
    english = prose.locator("> p", has_text="in English")
    assert (await _edges(english))[0] - left < 4
    # The full stop at the end of an Arabic sentence stands on its left.
    stop = await paragraph.evaluate(
        """(p) => {
          const last = p.lastChild, range = document.createRange();
          range.setStart(last, last.length - 1);
          range.setEnd(last, last.length);
          return range.getBoundingClientRect().left - p.getBoundingClientRect().left;
        }"""
    )
    assert stop >= 0
    await _bullets_stand_at_the_right(prose)
    assert await prose.locator(".code").evaluate("(code) => getComputedStyle(code).direction") == "ltr"
    assert await prose.locator("table").evaluate("(table) => getComputedStyle(table).direction") == "rtl"
    first, second = await prose.locator("th").all()
    assert (await _edges(first))[0] > (await _edges(second))[1]
    await _fits(page)
    await _bullets_stand_at_the_right(prose)


async def _bullets_stand_at_the_right(prose: Locator) -> None:
    box = await prose.bounding_box()
    assert box is not None
    for item in await prose.locator("> ul > li").all():
        direction = await item.evaluate("(item) => getComputedStyle(item).direction")
        place = await item.bounding_box()
        assert place is not None
        if direction == "rtl":
            assert place["x"] + place["width"] <= box["x"] + box["width"] - 16
        else:
            assert place["x"] >= box["x"] + 16


async def test_formulas_are_drawn_and_money_is_not(context: BrowserContext, words: ModelServer) -> None:
    page = await _shown(context, words, "maths")
    prose = page.locator(".prose")
    await expect(prose.locator(".katex")).to_have_count(11, timeout=30_000)
    await expect(prose.locator(".katex-display")).to_have_count(3)
    await expect(prose.locator(".tex")).to_have_text([r"$\notamacro{x}$"])
    await expect(prose.locator("p", has_text="derive")).to_have_text(
        "It costs $5 and not $10 to derive. Completing the square:"
    )
    await expect(prose.locator("math annotation").first).to_have_text("ax^2 + bx + c = 0")
    assert await page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px KaTeX_Main'))")
    # Styles arrive without a policy that allows styles in the page: a fraction has its line.
    line = prose.locator(".frac-line").first
    assert await line.evaluate("(line) => parseFloat(getComputedStyle(line).borderBottomWidth)") > 0
    await page.reload()
    await expect(prose.locator(".katex")).to_have_count(11, timeout=30_000)
    await _fits(page)


async def test_formulas_come_while_the_answer_is_being_made(
    context: BrowserContext, words: ModelServer
) -> None:
    words.token_delay = 0.02
    words.answer = lambda _: "First $x_1$ then " + "word " * 150
    page = await enter(context)
    await say(page, "?")
    await expect(page.locator(".running .katex")).to_have_count(1)
    await page.get_by_role("button", name="Stop the answer").click()
    await answered(page, 1)


async def test_a_formula_stays_within_its_answer(context: BrowserContext, words: ModelServer) -> None:
    words.answer = lambda _: (
        r"a $\kern-20em\kern-20em\raise20em{\rule{20em}{20em}}$ b $\href{javascript:owned=1}{c}$"
    )
    page = await enter(context)
    await say(page, "?")
    await answered(page, 1)
    await expect(page.locator(".katex")).to_have_count(1)
    assert await page.locator(".prose").evaluate("(prose) => getComputedStyle(prose).overflowX") == "clip"
    await expect(page.locator(".prose a")).to_have_count(0)
    await page.get_by_role("button", name="New chat").click()  # nothing covers it


async def test_an_answer_as_models_write_it(context: BrowserContext, words: ModelServer) -> None:
    page = await _shown(context, words, "mixed")
    prose = page.locator(".prose")
    await expect(prose.locator('.code [data-kind="keyword"]').first).to_have_text("from")
    await expect(prose.locator("li .code [data-kind='keyword']").first).to_have_text("SELECT")
    await expect(prose.locator("input[type=checkbox]")).to_have_count(2)
    await prose.locator("sup a").click()
    await expect(prose.locator(".note:target")).to_contain_text("A function of one argument.")
    await _fits(page)


async def test_code_that_cannot_be_coloured_in_time_stays_plain(
    context: BrowserContext, words: ModelServer
) -> None:
    words.answer = lambda _: "```html\n" + "<script>" * 2_000 + "\n```\n\n```python\nimport this\n```"
    page = await enter(context)
    await say(page, "?")
    await answered(page, 1)
    await expect(page.locator('.code [data-kind="keyword"]')).to_have_text("import", timeout=30_000)
    await expect(page.locator(".code pre").first).to_have_text("<script>" * 2_000)
