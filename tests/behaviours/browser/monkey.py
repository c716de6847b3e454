"""A person who does one thing after another without any plan, to be run again by the number of the plan."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Error, Locator, Page

from faust_redis.testing import eventually
from tests.behaviours.browser.conftest import download
from tests.support.model_server import ModelServer, Question
from tests.support.relays import Relay

#: Milliseconds for one press. What is not there any more by then is let be.
PATIENCE = 500
#: Seconds in which a page that is alive does something small, on a busy machine.
ALIVE = 20

_WORDS = (
    "sun",
    "rain",
    "**bold**",
    "`code`",
    "中文",
    "مرحبا",
    "$x^2$",
    "- item",
    "| a | b |",
    "https://b.example",
    "🎉",
)
_SHAPES = ((1280, 800), (390, 844), (820, 600), (1280, 400), (2400, 3000))

# What the page shows of its state: whether it is at rest.
_BUSY = ".running, .pending:not(.refused), .floating .pill"


class Away(Exception):
    """There is no such thing on the page now."""


class Monkey:
    """Does random things on a page, those that are there.

    Args:
        page: a page with a chat.
        relay: what is between the page and the service.
        seed: the same number makes the same plan, as far as the page allows.

    Attributes:
        done: what was done, for the report of a failure.
        difference: what the page showed at the last comparison, and what the server held.
    """

    def __init__(self, page: Page, relay: Relay, seed: int) -> None:
        self.page = page
        self.done: list[str] = []
        self.difference: tuple[Any, Any] = ((), ())
        self._relay = relay
        self._random = random.Random(seed)
        self._other: Page | None = None
        self._acts: dict[Callable[[], Awaitable[object]], int] = {
            self.say: 10,
            self.search: 6,
            self.step_through_search: 8,
            self.leave_search: 3,
            self.edit: 6,
            self.regenerate: 6,
            self.stop: 5,
            self.page_through_versions: 5,
            self.switch: 4,
            self.speak_in_another_tab: 3,
            self.begin_another: 1,
            self.rename: 2,
            self.remove: 1,
            self.go_offline: 2,
            self.go_deaf: 2,
            self.recover: 6,
            self.change_theme: 2,
            self.export: 2,
            self.print: 2,
            self.reload: 2,
            self.resize: 3,
            self.scroll: 5,
            self.unfold: 3,
            self.press: 4,
        }

    async def run(self, acts: int) -> None:
        """Do so many things; the page must be alive after each.

        Raises:
            TimeoutError: the page does not answer any more.
        """
        choices = self._random.choices(list(self._acts), list(self._acts.values()), k=acts)
        for act in choices:
            self.done.append(act.__name__)
            try:
                await act()
            except Away:
                self.done[-1] += " (away)"
            except Error:  # it went away meanwhile, or something lies above it
                self.done[-1] += " (missed)"
                await self.page.keyboard.press("Escape")
            async with asyncio.timeout(ALIVE):
                await self.page.evaluate("() => 1")

    async def say(self) -> None:
        if not await self._count("#text"):
            await self._press(self.page.get_by_role("button", name="Start chatting"))
        field = self.page.get_by_label("Message", exact=True)
        await field.fill(self._text(), timeout=PATIENCE)
        await field.press("Enter", timeout=PATIENCE)

    async def search(self) -> None:
        if not await self._count(".search"):
            await self._press(self.page.locator("header button[aria-label='Search this chat']"))
        field = self.page.locator(".search input")
        await field.fill(self._random.choice(("a", "sun", "e", "", "中", "zz", "You said")), timeout=PATIENCE)

    async def step_through_search(self) -> None:
        if not await self._count(".search"):
            await self.search()
        keys = self._random.choices(("Enter", "Shift+Enter"), k=self._random.randint(1, 6))
        for key in keys:
            await self.page.locator(".search input").press(key, timeout=PATIENCE)

    async def leave_search(self) -> None:
        await self._press(self.page.get_by_label("Close the search"))

    async def edit(self) -> None:
        if not await self.page.locator(".edit textarea").count():
            await self._press(self.page.get_by_label("Edit message").last)
        await self.page.locator(".edit textarea").last.fill(self._text(), timeout=PATIENCE)
        await self._press(self.page.locator(".edit-actions button").nth(self._random.randint(0, 1)))

    async def regenerate(self) -> None:
        await self._press(self.page.get_by_label("Answer again"))

    async def stop(self) -> None:
        if not await self._count(".running"):
            await self.say()
        await self._press(self.page.get_by_label("Stop the answer"))

    async def page_through_versions(self) -> None:
        await self._press(
            self._any(self.page.locator(".pager button:enabled"), await self._count(".pager button:enabled"))
        )

    async def switch(self) -> None:
        await self._open_list()
        for _ in range(self._random.randint(1, 3)):  # faster than the chats can be read
            await self._press(self._any(self.page.locator(".chat-open"), await self._count(".chat-open")))

    async def speak_in_another_tab(self) -> None:
        if self._other is None:
            self._other = await self.page.context.new_page()
            await self._other.goto("/", timeout=5_000)
        field = self._other.locator("#text")
        if await field.count():
            await field.fill(self._text(), timeout=PATIENCE)
            await field.press("Enter", timeout=PATIENCE)

    async def begin_another(self) -> None:
        await self._press(self.page.get_by_role("button", name="New chat"))
        dialog = self.page.get_by_role("dialog")
        if await dialog.count():
            await self._press(dialog.get_by_role("button", name="New chat"))
        await self._press(self.page.get_by_role("button", name="Start chatting"))

    async def rename(self) -> None:
        await self._open_list()
        await self._press(self.page.locator(".chat-row [title=Rename]").first)
        await self.page.get_by_label("Name of the chat").fill(self._text(), timeout=PATIENCE)
        await self.page.get_by_label("Name of the chat").press(self._random.choice(("Enter", "Escape")))

    async def remove(self) -> None:
        await self._open_list()
        await self._press(self.page.locator(".chat-row [title=Delete]").last)
        await self._press(self.page.get_by_role("dialog").get_by_role("button", name="Delete"))

    async def go_offline(self) -> None:
        await self.page.context.set_offline(True)

    async def go_deaf(self) -> None:
        self._relay.go_deaf()

    async def recover(self) -> None:
        self._relay.hear_again()
        await self.page.context.set_offline(False)

    async def change_theme(self) -> None:
        await self._press(self.page.locator("header .theme"))

    async def export(self) -> None:
        await self._press(self.page.get_by_label("More"))
        await self._press(self.page.get_by_role("menuitem", name="Export as Markdown"))

    async def print(self) -> None:
        await self.page.emulate_media(media="print")
        await self.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        await self.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
        await self.page.emulate_media(media="screen")

    async def reload(self) -> None:
        await self.recover()
        await self.page.reload()
        await self.begin_if_asked()

    async def resize(self) -> None:
        width, height = self._random.choice(_SHAPES)
        await self.page.set_viewport_size({"width": width, "height": height})

    async def scroll(self) -> None:
        if await self._count(".jump") and self._random.random() < 0.3:
            await self._press(self.page.locator(".jump"))
        place = self._random.random()
        await self.page.evaluate(
            """(place) => {
              const box = document.querySelector(".scroll");
              if (box) box.scrollTop = place * box.scrollHeight;
            }""",
            place,
        )

    async def unfold(self) -> None:
        folded = ".thoughts summary, [title=Details]"
        await self._press(self._any(self.page.locator(folded), await self._count(folded)))

    async def press(self) -> None:
        await self.page.keyboard.press(
            self._random.choice(("Tab", "Shift+Tab", "Escape", "Home", "End", "PageUp"))
        )

    async def begin_if_asked(self) -> None:
        """Wait for the page after it was loaded; begin a chat if there is none."""
        field, start = self.page.locator("#text"), self.page.get_by_role("button", name="Start chatting")
        await field.or_(start).first.wait_for(timeout=30_000)
        if await start.count():
            await start.click()
            await field.wait_for(timeout=30_000)

    async def rest(self) -> None:
        """Let everything recover, and wait until nothing is under way on the page.

        Raises:
            TimeoutError: the page does not come to rest.
        """
        await self.recover()
        await self.page.set_viewport_size({"width": 1280, "height": 800})
        for _ in range(3):
            await self.page.keyboard.press("Escape")
        if await self._count("dialog[open]"):
            await self.page.keyboard.press("Escape")
        await self.begin_if_asked()

        async def is_at_rest() -> bool:
            for discard in await self.page.get_by_role("button", name="Discard").all():
                await self._press(discard)
            retry = self.page.get_by_role("button", name="Try now")
            if await retry.count():
                await self._press(retry)
            return not await self._count(_BUSY) and bool(await self._count("#text"))

        await eventually(is_at_rest, "the page to come to rest", 60)

    async def compare(self) -> None:
        """Compare the chat on the page with the one that the server holds."""
        await self.rest()
        token = await self.page.evaluate("() => sessionStorage.getItem('parley.token')")
        if not await self._count(".bubble, .prose"):
            return

        async def is_same() -> bool:
            answer = await self.page.request.get("/refresh_token", params={"token": token})
            held = [
                (each["id"], each["msg"].partition(": ")[2]) for each in (await answer.json())["messages"]
            ]
            await self.page.get_by_label("More").click()
            text = await download(self.page, "menuitem", "Export as JSON")
            shown = [(each["id"], each["text"]) for each in json.loads(text)["messages"]]
            self.difference = (shown, held)
            return shown == held

        try:
            await eventually(is_same, "the page to show what the server holds", 20)
        except AssertionError as exc:
            raise AssertionError(f"the page shows, and the server holds: {self.difference}") from exc

    def _text(self) -> str:
        words = self._random.choices(_WORDS, k=self._random.randint(1, 12))
        return self._random.choice((" ", "\n", "\n\n")).join(words)

    async def _press(self, what: Locator) -> None:
        if not await what.count():
            raise Away
        await what.first.click(timeout=PATIENCE)

    async def _count(self, what: str) -> int:
        return await self.page.locator(what).count()

    def _any(self, them: Locator, count: int) -> Locator:
        return them.nth(self._random.randrange(count) if count else 0)

    async def _open_list(self) -> None:
        if not await self._count(".chat-open"):
            await self._press(self.page.get_by_label("Show your chats"))


def answer(model: ModelServer) -> None:
    """Let the model answer at length, with thoughts now and then."""

    def reply(question: Question) -> str:
        thought = "<think>Sun or rain?</think>" if len(question.last) % 3 == 0 else ""
        return f"{thought}You said: {question.last}\n\n" + "- sun and rain\n" * (len(question.last) % 9)

    model.answer = reply
