"""Entries of other programs, in a form that can't be read: they end no worker and hold up nothing."""

from __future__ import annotations

from typing import Any, cast

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetters
from faust_redis.log.entries import encode
from faust_redis.testing import eventually
from tests.apps import MakeApp, is_empty, running

GOOD = encode(None, b"1", None, 1.0)
UNREADABLE = {
    "a timestamp in seconds": [b"v", b"2", b"t", b"1700000000.5"],
    "a timestamp that is text": [b"t", b"now", b"v", b"2", b"k", b"k"],
    "a timestamp that is no time": [b"t", b"9" * 400, b"v", b"2", b"k", b"k"],
    "headers that are JSON": [b"v", b"2", b"t", b"1", b"h", b'{"a": 1}'],
    "headers that end too early": [b"v", b"2", b"t", b"1", b"h", b"\0\0\0\x04na"],
    "headers without a last value": [b"v", b"2", b"t", b"1", b"h", b"\0\0\0\x01a"],
    "a header whose name is no text": [b"v", b"2", b"t", b"1", b"h", b"\0\0\0\x01\xff\0\0\0\0"],
    "a header without a name": [b"v", b"2", b"t", b"1", b"h", b"\xff\xff\xff\xff\0\0\0\0"],
    "thousands of fields": [b"t", b"", *(b"x%d" % number for number in range(20_000))],
}


async def add(streams: Redis, name: str, fields: list[bytes]) -> None:
    await streams.execute_command("XADD", f"{{{name}:0}}", "0-*", *fields)  # type: ignore[no-untyped-call]


def collecting(app: faust.App) -> list[Any]:
    got: list[Any] = []

    @app.agent(app.topic("in", value_type=cast(Any, int)))
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            got.append(value)

    return got


@pytest.mark.parametrize("fields", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_unreadable_entry_of_a_queue_is_a_dead_letter(
    make_app: MakeApp, streams: Redis, fields: list[bytes]
) -> None:
    app = make_app()
    got = collecting(app)
    for entry in (GOOD, fields, GOOD):
        await add(streams, "in", entry)

    async with running(app):
        await eventually(lambda: got == [1, 1], "both others")
        await eventually(is_empty(streams, "in"), "all to be acked")

    (letter,) = await DeadLetters(streams).page(["in"])
    assert (letter.offset, letter.attempts, letter.timestamp) == (2, 1, 0)
    assert "entry 0-2 can't be read" in letter.error


async def test_an_unreadable_entry_that_was_left_pending_is_a_dead_letter(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    got = collecting(app)
    await add(streams, "in", UNREADABLE["a timestamp in seconds"])
    await add(streams, "in", GOOD)
    await streams.xgroup_create("{in:0}", app.conf.id, "0")
    await streams.xreadgroup(app.conf.id, "died", {"{in:0}": ">"})

    async with running(app):
        await eventually(lambda: got == [1], "the other")
        await eventually(is_empty(streams, "in"), "both to be acked")
    assert await DeadLetters(streams).counts(["in"]) == {"in": 1}


async def test_an_unreadable_dead_letter_sent_again_is_a_dead_letter_again(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    collecting(app)
    dead = DeadLetters(streams)

    async with running(app):
        await add(streams, "in", UNREADABLE["headers that are JSON"])
        await eventually(is_empty(streams, "in"), "the entry to be given up")
        (letter,) = await dead.page(["in"])
        await dead.replay(letter.id)
        await eventually(is_empty(streams, "in"), "it to be given up again")

    (again,) = await dead.page(["in"])
    assert (again.offset, again.value) == (2, b"2")


@pytest.mark.slow
async def test_an_unreadable_entry_of_a_changelog_is_skipped_wherever_it_is(
    make_app: MakeApp, streams: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def counting() -> tuple[faust.App, Any]:
        app = make_app()
        totals = app.Table("totals", default=int, partitions=1)

        @app.agent(app.topic("in", value_type=cast(Any, int)))
        async def work(stream: StreamT[int]) -> None:
            async for value in stream:
                totals["all"] += value

        return app, totals

    app, totals = counting()
    async with running(app):
        await add(streams, "in", GOOD)
        await eventually(lambda: totals["all"] == 1, "the first")
    await add(streams, "streams-totals-changelog", UNREADABLE["a timestamp in seconds"])

    app, totals = counting()
    async with running(app):
        await add(streams, "in", GOOD)
        await eventually(lambda: totals["all"] == 2, "the second, on top of the recovered first")
    await add(streams, "streams-totals-changelog", [*GOOD[:2], b"k", b'"other"', b"v", b"5"])

    app, totals = counting()
    async with running(app):
        await eventually(lambda: totals["other"] == 5, "what came after the entry")
    assert "streams-totals-changelog-0: entry 0-2 can't be read" in caplog.text
