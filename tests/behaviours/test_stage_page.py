"""The stage page in a real browser, over the real service."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Dialog, Page, expect
from redis.asyncio import Redis

from faust_redis.testing import Keys, encode, eventually
from faust_redis.watching import watch_app
from pipeline.redis.client import execute
from pipeline.settings import STAGES
from tests.behaviours.conftest import ADMIN
from tests.support.chat_client import ChatClient
from tests.support.model_server import ModelServer
from tests.support.service import Up

KEYS = Keys()

# Looks like markup in every place it could end up in.
NASTY = "<img src=x onerror=\"document.title='owned'\"></script><b>bold</b>"

pytestmark = pytest.mark.asyncio(loop_scope="session")


def card(page: Page, stage: str) -> str:
    return f"#flow li:nth-child({STAGES.index(stage) * 2 + 3}) .node"


async def unlock(page: Page) -> None:
    await page.click("#unlock")
    await page.fill("#token", ADMIN)
    await page.click("#unlock-submit")
    await expect(page.locator("#unlock")).to_have_text("Lock")


async def test_the_rates_shown_are_those_at_which_messages_are_sent(
    page: Page, chat: ChatClient, store: Redis
) -> None:
    rate, seconds = 25.0, 8.0
    tokens = [await chat.token() for _ in range(5)]
    sockets = [await chat.open(token) for token in tokens]
    before = [await offsets(store, stage) for stage in STAGES]
    begun, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - begun) < seconds:
        while sent < elapsed * rate:
            await sockets[sent % len(sockets)].send(f"message {sent}")
            sent += 1
        await asyncio.sleep(0.01)
    arrows = await page.locator(".arrow .rate").all_inner_texts()
    shown = [float(text.removesuffix("/s")) for text in arrows]
    assert shown == pytest.approx([rate] * 5, rel=0.35)

    for socket in sockets:
        await socket.answers(sent // len(sockets))
    total = [await offsets(store, stage) for stage in STAGES]
    assert [now - then for now, then in zip(total, before, strict=True)] == [sent] * len(STAGES)
    await page.click(card(page, "deliver"))

    async def counted() -> bool:
        cells = await page.locator("#partitions td:nth-child(10)").all_inner_texts()
        return sum(int(text.replace(",", "")) for text in cells) == total[-1]

    await eventually(counted, "the page counts every message")


async def test_a_stage_whose_worker_is_gone_shows_and_its_return_too(
    page: Page, watched: Up, chat: ChatClient
) -> None:
    pid = watched.agents("enrich")[0]
    token = await chat.token()
    os.kill(pid, signal.SIGSTOP)
    try:
        socket = await chat.open(token)
        await socket.send("Is anybody there?")
        await expect(page.locator(card(page, "enrich"))).to_contain_text("stopped", timeout=45_000)
        await expect(page.locator("#verdict")).to_have_text("enrich is stopped")
        await expect(page.locator(card(page, "enrich"))).to_contain_text("1 left")
        await page.click(card(page, "enrich"))
        await expect(page.locator("#workers tbody tr td:nth-child(2)")).to_have_text("gone")
        await expect(page.locator("#no-workers")).to_contain_text("parley agent enrich")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await socket.answer(30))["msg"] == "You said: Is anybody there?"
    await expect(page.locator("#verdict")).to_have_text(re.compile("All stages"), timeout=45_000)


async def test_a_model_that_hangs_makes_its_stage_stalled_and_no_other(
    page: Page, chat: ChatClient, model: ModelServer
) -> None:
    model.latency = 15.0
    try:
        socket = await chat.open(await chat.token())
        await socket.send("Take your time")
        await expect(page.locator("#verdict")).to_have_text("infer is stalled", timeout=45_000)
    finally:
        model.latency = 0.0
    await socket.answer(30)
    await expect(page.locator("#verdict")).to_have_text(re.compile("All stages"), timeout=45_000)


async def test_what_people_wrote_is_text_to_the_admin_and_nothing_to_others(
    page: Page, watched: Up, chat: ChatClient
) -> None:
    pid = watched.agents("infer")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        token = await chat.token(name="<b>Eve</b>")
        socket = await chat.open(token)
        await socket.send(NASTY)
        await page.click(card(page, "infer"))
        row = page.locator(
            "#partitions tbody tr", has=page.locator("td:nth-child(5), td:nth-child(6)", has_text="1")
        )
        await row.first.click()
        await expect(page.locator("#entries article")).to_have_count(1)
        drawn = await page.locator("#drawer").inner_text()
        assert "onerror" not in drawn
        assert token not in await page.content()
        await page.click("#drawer-close")

        await unlock(page)
        await row.first.click()
        await expect(page.locator("#entries pre")).to_contain_text("<img src=x onerror=")
        assert await page.locator("#drawer img, #drawer b b, #drawer script").count() == 0
        assert "owned" not in await page.title()
        assert token not in await page.content()
    finally:
        os.kill(pid, signal.SIGCONT)
    await socket.answer(30)


async def test_a_dead_letter_is_sent_again_by_a_click_of_the_admin(page: Page, store: Redis) -> None:
    value = b'{"token": "no-such-session", "turn": "m-1"}'
    facts = ("group", "enrich", "offset", "0-1", "attempts", 5, "error", f"ValueError: {NASTY}")
    fields: tuple[str | bytes | int, ...] = (*encode(b"k", value, None, time.time()), *facts)
    await execute(store, "XADD", KEYS.dead(("enrich", 2)), "*", *fields)
    before = await offsets(store, "enrich")
    await expect(page.locator(card(page, "enrich"))).to_contain_text("1 dead letter")
    await page.click(card(page, "enrich"))
    await page.click("#partitions tbody tr:nth-child(3)")
    await page.click("#tab-dead")
    await expect(page.locator("#entries .error")).to_have_text("ValueError: …")
    await page.click("#entries button:has-text('Replay')")
    await expect(page.locator("#unlock-dialog")).to_be_visible()
    await page.fill("#token", ADMIN)
    await page.click("#unlock-submit")
    await expect(page.locator("#entries .error")).to_contain_text("<img src=x")
    await page.click("#entries button:has-text('Replay')")
    await expect(page.locator("article.done")).to_contain_text("Replayed")
    assert await store.xlen(KEYS.dead(("enrich", 2))) == 0
    assert await offsets(store, "enrich") == before + 1


@pytest.mark.parametrize("width", [320, 800, 1024, 1920])
async def test_it_fits_every_width_and_works_by_keyboard_alone(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.locator(card(page, "ingest")).focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#stage-name")).to_contain_text("ingest")
    await page.locator("#partitions tbody tr:first-child button").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#drawer")).to_be_visible()
    await page.locator("#tab-latest").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#tab-pending")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#drawer")).to_be_hidden()


async def offsets(store: Redis, stage: str) -> int:
    """Return how many entries a stage has ever had, as Redis counts them."""
    total = 0
    for partition in range(8):
        if await store.exists(KEYS.stream((stage, partition))):
            facts = await store.xinfo_stream(KEYS.stream((stage, partition)))
            total += int(facts["last-generated-id"].partition(b"-")[2])
    return total


async def test_the_page_of_all_apps_draws_the_stages_from_what_they_read_and_write(
    browser: Browser, watched: Up, chat: ChatClient
) -> None:
    socket = await chat.open(await chat.token())
    await socket.send("Draw me")
    await socket.answer(30)
    async with TestServer(watch_app(watched.redis_url, admin_token=ADMIN)) as server:
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(str(server.make_url("/")))
        await expect(page.locator("#graph .node.app")).to_have_count(len(STAGES) + 1)
        columns = [(await column.inner_text()).split()[0] for column in await page.locator(".column").all()]
        assert columns == [
            "web",
            "ingest",
            "ingest",
            "enrich",
            "enrich",
            "infer",
            "infer",
            "deliver",
            "deliver",
        ]
        await page.locator("#graph [title^='infer:']").click()
        await expect(page.locator("#panel .workers tbody tr")).to_have_count(1)
        await page.click("#panel .partitions tbody tr:first-child .link")
        await page.click("#tab-dead")
        await expect(page.locator("#entries")).to_contain_text("No dead letters")
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.close()
    assert wrong == []


async def test_an_admin_pauses_and_resumes_a_stage(page: Page, store: Redis) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    await unlock(page)
    await page.click(card(page, "infer"))
    await page.click("#pause")
    await expect(page.locator("#pause")).to_have_text("Resume", timeout=20_000)
    await expect(page.locator(card(page, "infer"))).to_contain_text("paused")
    await page.click("#pause")
    await expect(page.locator("#pause")).to_have_text("Pause …", timeout=20_000)
    assert not await store.exists(KEYS.paused("infer"))


async def test_a_past_time_shows_the_figures_that_were_recorded_then(page: Page) -> None:
    async def is_shown() -> bool:
        await page.click("#past-back")
        await page.wait_for_timeout(300)
        return (await page.locator("#past-said").inner_text()).startswith("Recorded at")

    await eventually(is_shown, "a recorded moment")
    assert await page.locator(".node .name").count() == len(STAGES) + 2
    await page.get_by_role("button", name="Show the present").click()
    await expect(page.locator("#past-said")).to_have_text("")
    await page.wait_for_function("!document.body.classList.contains('past')")


async def test_an_admin_pauses_a_topic_and_moves_offsets_after_a_preview(
    browser: Browser, watched: Up, store: Redis
) -> None:
    stream = KEYS.stream(("ledger", 0))
    await store.hset(KEYS.topic("ledger"), mapping={"partitions": 1, "retention": 3_600_000})
    for _ in range(3):
        await execute(store, "XADD", stream, "0-*", *encode(b"k", b"{}", None, None))
    await execute(store, "XGROUP", "CREATE", stream, "auditor", "$")
    asked: list[str] = []
    async with TestServer(watch_app(watched.redis_url, admin_token=ADMIN)) as server:
        page = await browser.new_page()

        async def accept(dialog: Dialog) -> None:
            asked.append(dialog.message)
            await dialog.accept()

        page.on("dialog", accept)
        await page.goto(str(server.make_url("/#app:auditor")))
        await page.click("#panel .partitions tbody tr:first-child .link")
        await page.click("#pause-topic")
        await page.fill("#token", ADMIN)
        await page.click("#unlock-submit")
        await page.click("#pause-topic")
        await expect(page.locator("#pause-topic")).to_have_text("Resume the whole topic")
        assert await store.hkeys(KEYS.paused("auditor")) == [b"ledger"]
        await page.click("#pause-topic")
        await expect(page.locator("#pause-topic")).to_have_text("Pause the whole topic …")
        await page.fill("#move-to", "earliest")
        await page.press("#move-to", "Enter")
        await expect(page.locator("#drawer-said")).to_contain_text("at earliest")
        await page.close()
    assert asked[-1] == "Move the offsets of auditor in ledger?\npartition 0: 4 → 1"
    (group,) = await store.xinfo_groups(stream)
    assert group["last-delivered-id"] == b"0-0"
    await store.delete(stream, KEYS.topic("ledger"))
