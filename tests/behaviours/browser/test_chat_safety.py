"""The page is safe for any content of a chat, and accessible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, expect

from tests.behaviours.browser.conftest import answered, enter, say
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("words")]

AXE = Path(__file__).parents[3] / "web/ui/node_modules/axe-core/axe.min.js"

# Each sets `owned` when it runs.
CORPUS = (
    "<script>owned=1</script>",
    "<img src=x onerror=owned=1>",
    "<svg/onload=owned=1>",
    "<details open ontoggle=owned=1>x</details>",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "</p></div><math><mi xlink:href='javascript:owned=1'>x</mi></math>",
    "[link](javascript:owned=1)",
    "[link](data:text/html,<script>opener.owned=1</script>)",
    '![picture](x"onerror="owned=1)',
    '<a href="javascript:owned=1">x</a>',
    "`<img src=x onerror=owned=1>`",
    "```html\n<img src=x onerror=owned=1>\n```",
    '```"><img/src/onerror=owned=1>\nx\n```',
    "| <img src=x onerror=owned=1> |\n|---|\n| <svg onload=owned=1> |",
    "&lt;img src=x onerror=owned=1&gt;",
    "<style>*{display:none}</style><form action=https://example.org><input autofocus onfocus=owned=1>",
    "{{constructor.constructor('owned=1')()}} ${owned=1} <%= owned=1 %>",
)

# The effect that one of these would have on an unsafe page.
ATTEMPTS = (
    "document.body.innerHTML = '<img src=x onerror=owned=1>'",
    "document.createElement('img').setAttribute('onerror', 'owned=1')",
    "document.createElement('script').text = 'owned=1'",
    "document.createElement('iframe').srcdoc = '<script>parent.owned=1</script>'",
    "document.write('<script>owned=1</script>')",
)


@pytest.mark.parametrize("name", ["<img src=x onerror=owned=1>", "</h2><script>owned=1</script>", "{{7*7}}"])
async def test_a_name_is_text(context: BrowserContext, name: str) -> None:
    page = await enter(context, name)
    await expect(page.locator(".empty h2")).to_have_text(f"Hello, {name}.")
    await unharmed(page)


async def test_what_a_person_or_a_model_says_is_never_markup(
    context: BrowserContext, words: ModelServer
) -> None:
    words.token_delay = 0
    words.answer = lambda question: question.last
    page = await enter(context)
    for number, text in enumerate(CORPUS, 1):
        await say(page, text)
        await answered(page, number)
        await expect(page.locator(".bubble").last).to_have_text(text)
    for link in await page.locator(".messages a").all():
        assert str(await link.get_attribute("href")).startswith(("https:", "http:", "mailto:"))
    await unharmed(page)
    await page.reload()
    await answered(page, len(CORPUS))
    await unharmed(page)


async def test_the_policy_stops_what_would_slip_through(browser: Browser, talker: Up) -> None:
    page = await browser.new_page()
    await page.goto(talker.url)
    for attempt in ATTEMPTS:
        with pytest.raises(Error, match="requires 'Trusted"):
            await page.evaluate(attempt)
    inline = (
        "document.body.append(Object.assign(document.createElement('style'), {textContent: '*{color:red}'}))"
    )
    await page.evaluate(inline)
    assert await page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert await page.evaluate("typeof owned") == "undefined"
    await page.close()


# Rendering fails wherever a message is emphasised, as it does when a parser or highlighter gives up.
FAULT = """const make = Document.prototype.createElement;
Document.prototype.createElement = function (name, ...rest) {
    if (name === 'em') throw new RangeError('Maximum call stack size exceeded');
    return make.call(this, name, ...rest);
};"""


async def test_a_message_that_cannot_be_drawn_is_shown_as_plain_text(
    browser: Browser, talker: Up, words: ModelServer
) -> None:
    context = await browser.new_context(base_url=talker.url)
    await context.add_init_script(FAULT)
    page = await enter(context)
    words.answer = lambda question: question.last
    await say(page, "fine")
    await answered(page, 1)
    await say(page, "this is *slanted* text")
    await answered(page, 2)
    for _ in range(2):
        await expect(page.locator(".prose").first).to_have_text("fine")
        await expect(page.locator(".prose").last).to_contain_text("this is *slanted* text")
        await expect(page.locator(".prose .remark")).to_contain_text("could not be formatted")
        await page.reload()
        await answered(page, 2)
    await say(page, "and on")
    await answered(page, 3)
    await expect(page.locator(".prose").last).to_have_text("and on")
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_check_for_accessibility_finds_nothing_serious(
    browser: Browser, talker: Up, words: ModelServer, scheme: Any
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core comes with `make ui-check`")
    # The policy would stop the checker, which writes styles of its own.
    context = await browser.new_context(base_url=talker.url, color_scheme=scheme, bypass_csp=True)
    page = await context.new_page()
    await page.goto("/")
    await expect(page.get_by_label("Your name")).to_be_visible()
    assert await serious(page) == []
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(page.locator(".empty")).to_be_visible()
    assert await serious(page) == []
    words.answer = lambda _: (
        "# Title\n\n- [x] *a*\n\n> quote\n\n`b`\n\n```js\nc\n```\n\n|d|\n|-|\n|[e](https://example.org)|"
    )
    await say(page, "Everything")
    await answered(page, 1)
    words.fail_next(status=500)
    await say(page, "Fail")
    await expect(page.locator(".failure")).to_be_visible(timeout=30_000)
    assert await serious(page) == []
    await page.get_by_role("button", name="More").click()
    assert await serious(page) == []
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Details of this answer").click()
    await page.get_by_role("button", name="Search this chat").click()
    await page.get_by_label("Search this chat").last.fill("title")
    await page.get_by_role("button", name="Edit message").click()
    assert await serious(page) == []
    await page.get_by_role("button", name="Rename “Everything”").click()
    assert await serious(page) == []
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="New chat").click()
    assert await serious(page) == []
    await page.get_by_role("dialog").get_by_role("button", name="New chat").click()
    await expect(page.get_by_text("Continue a chat")).to_be_visible()
    assert await serious(page) == []
    await page.locator(".chat-open").first.click()
    await page.set_viewport_size({"width": 390, "height": 780})
    await page.get_by_role("button", name="Show your chats").click()
    assert await serious(page) == []
    await context.close()


async def serious(page: Page) -> list[str]:
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run()")
    return [
        f"{each['id']}: {node['html']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


async def unharmed(page: Page) -> None:
    assert await page.evaluate("typeof owned") == "undefined"
    assert await page.locator("#root :is(script, img, iframe, style, form:not(.composer), math)").count() == 0
