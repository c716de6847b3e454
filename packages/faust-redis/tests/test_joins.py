"""Joins of streams and tables, with Faust's interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, is_empty, running, send_all

TEXT: Any = str


class Joiner:
    """An app with two topics of text and an agent that joins them.

    Attributes:
        pairs: The results so far.
    """

    def __init__(self, app: faust.App, join: Callable[[Any], Any], **declared: Any) -> None:
        self.app = app
        self.pairs: list[Any] = []
        self.left: Any = app.topic("left", key_type=TEXT, value_type=TEXT, **declared)
        self.right: Any = app.topic("right", key_type=TEXT, value_type=TEXT, **declared)

        @app.agent(self.left)
        async def pair(stream: StreamT[Any]) -> None:
            async for found in join(stream & self.right.stream()):  # type: ignore[operator]
                self.pairs.append(found)

    async def send(self, topic: Any, key: str, value: str, at: float = 0.0) -> None:
        """Send a value with a timestamp, ``at`` seconds after the moment at which the tests' time begins."""
        await (await topic.send(key=key, value=value, timestamp=START + at))

    async def has(self, *pairs: Any) -> None:
        await eventually(lambda: self.pairs == list(pairs), f"{pairs}, there are {self.pairs}")


#: The tests' time begins here, long ago, so that no result depends on how fast they run.
START = 1_700_000_000.0


async def test_two_merged_streams_yield_the_values_of_both(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    joiner = Joiner(app, lambda merged: merged)

    async with running(app):
        await joiner.send(joiner.left, "k", "l")
        await joiner.has("l")
        await joiner.send(joiner.right, "k", "r")
        await joiner.has("l", "r")
        await eventually(is_empty(streams, "right"), "the ack")


async def test_an_inner_join_yields_the_pairs_of_a_key(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    joiner = Joiner(app, lambda merged: merged.inner_join(within=10))

    async with running(app):
        await joiner.send(joiner.left, "a", "l1")
        await joiner.send(joiner.right, "b", "r1")
        await joiner.send(joiner.right, "a", "r2", at=10)
        await joiner.has(("l1", "r2"))
        await joiner.send(joiner.left, "a", "l2", at=3)
        await joiner.has(("l1", "r2"), ("l2", "r2"))
        await joiner.send(joiner.right, "a", "r3", at=10.5)
        await joiner.has(("l1", "r2"), ("l2", "r2"), ("l2", "r3"))
        await eventually(is_empty(streams, "left"), "the acks")
