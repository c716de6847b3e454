"""Windows of tables: their changes are kept until they expire, and a recovered window closes once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types import StreamT
from faust.windows import SlidingWindow
from redis.asyncio import Redis

from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, is_empty, running

Kept = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        (lambda table: table.tumbling(3600, expires=5), 3605),
        (lambda table: table.hopping(60, 10, expires=30), 90),
        (lambda table: table.using_window(SlidingWindow(20, 10, expires=7)), 37),
    ],
    ids=["tumbling", "hopping", "sliding"],
)
async def test_a_changelog_keeps_changes_until_their_window_has_expired(
    make_app: MakeApp, streams: Redis, window: Kept, kept: int
) -> None:
    app = make_app()
    window(app.Table("counts", default=int, partitions=1))

    @app.agent(app.topic("clicks"))
    async def count(stream: StreamT[Any]) -> None:
        async for _ in stream:
            pass

    async with running(app):
        assert await streams.hget("faust:topic:streams-counts-changelog", "retention") == b"%d" % (
            kept * 1000
        )


async def test_a_changelog_whose_windows_never_expire_keeps_all(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    app.Table("counts", default=int, partitions=1).tumbling(60)

    @app.agent(app.topic("clicks"))
    async def count(stream: StreamT[Any]) -> None:
        async for _ in stream:
            pass

    async with running(app):
        assert await streams.hget("faust:topic:streams-counts-changelog", "retention") == b"0"


def counting(app: faust.App, closed: list[Any], *, size: float, expires: float) -> tuple[Any, Any]:
    """Add an agent that counts per window; return its topic and the table."""

    def on_close(key: Any, value: Any) -> None:
        closed.append((key[0], value))

    clicks = app.topic("clicks", key_type=str, value_type=INT)
    table: Any = app.Table("counts", default=int, partitions=1, on_window_close=on_close)
    counts = table.tumbling(size, expires=expires).relative_to_stream()

    @app.agent(clicks)
    async def count(stream: StreamT[int]) -> None:
        async for key, value in stream.items():
            counts[key] += value

    return clicks, counts


@pytest.mark.parametrize("store", ["memory://", "rocksdb://"])
@pytest.mark.slow
async def test_a_window_closes_once_after_a_recovery_and_is_cleaned_everywhere(
    make_app: MakeApp, streams: Redis, tmp_path: Path, store: str
) -> None:
    closed: list[Any] = []
    settings = {"store": store, "table_cleanup_interval": 0.2, "datadir": tmp_path / "data"}

    def make() -> tuple[faust.App, Any, Any]:
        app = make_app(**settings)
        return (app, *counting(app, closed, size=2.0, expires=3.0))

    app, clicks, _ = make()
    async with running(app):
        await eventually(lambda: time.time() % 2 < 1, "a window with time for both")
        for _ in range(2):
            await (await clicks.send(key="page", value=1))
        await eventually(is_empty(streams, "clicks"), "both to be counted")
    assert closed == []

    app, clicks, counts = make()
    async with running(app):
        table = counts.table
        await eventually(lambda: sum(table.values()) == 2, "the recovery")
        await eventually(lambda: closed == [("page", 2)], "the window to be closed")
        await eventually(lambda: not list(table.keys()), "the window to be removed")

    app, clicks, counts = make()
    async with running(app):
        await (await clicks.send(key="other", value=1))
        await eventually(lambda: ("other", 1) in closed, "the next window to be closed")
    assert closed == [("page", 2), ("other", 1)]


@pytest.mark.slow
async def test_now_is_the_latest_window_after_a_recovery(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    clicks, _ = counting(app, [], size=3600.0, expires=60.0)
    async with running(app):
        await (await clicks.send(key="page", value=1))
        await eventually(is_empty(streams, "clicks"), "the event to be counted")

    app = make_app()
    _, counts = counting(app, [], size=3600.0, expires=60.0)
    async with running(app):
        latest = counts.table._partition_latest_timestamp
        await eventually(lambda: latest.get(0, 0) > time.time(), "the end of the recovered window")
