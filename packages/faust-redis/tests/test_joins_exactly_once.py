"""Joins with ``exactly_once``: each pair's output is there once, whatever failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

import faust_redis
from faust_redis.testing import eventually
from tests.apps import MakeApp, running
from tests.joined import TEXT


def joining(app: faust.App, kind: str, fails: Callable[[str, int], str]) -> tuple[Any, Any]:
    """Have an agent join two topics and send each pair on; return the topics.

    Args:
        fails: Returns ``"raise"`` or ``"fail"`` for an attempt (a pair, and its number from 1) to fail after
            its output was sent.
    """
    left: Any = app.topic("left", key_type=TEXT, value_type=TEXT)
    right: Any = app.topic("right", key_type=TEXT, value_type=TEXT)
    out: Any = app.topic("out", value_type=TEXT, value_serializer="raw", retention=3600.0)
    attempts: dict[str, int] = {}

    @app.agent(left)
    async def pair(stream: StreamT[Any]) -> None:
        merged: Any = stream & right.stream()
        async for one, other in getattr(merged, kind)(within=2, grace=0.2):
            name = f"{one} {other}"
            attempts[name] = attempts.get(name, 0) + 1
            await out.send(value=name)
            how = fails(name, attempts[name])
            if how == "raise":
                raise ValueError(name)
            if how == "fail":
                event: Any = faust.current_event()
                faust_redis.fail(event, ValueError(name))

    return left, right


async def outputs(streams: Redis) -> list[str]:
    entries: Any = await streams.xrange("{out:0}")
    return sorted(fields[b"v"].decode() for _, fields in entries)


async def wait_outputs(streams: Redis, *expected: str) -> None:
    async def are_there() -> bool:
        return len(await outputs(streams)) >= len(expected)

    await eventually(are_there, f"{expected}", 12)
    await eventually(lambda: is_done(streams), "all events to be acked")
    assert await outputs(streams) == sorted(expected)


async def is_done(streams: Redis) -> bool:
    return not (await streams.xlen("{left:0}") or await streams.xlen("{right:0}"))


@pytest.mark.parametrize("how", ["raise", "fail"])
@pytest.mark.parametrize("failing", ["l1 r", "l2 r", "l3 r"])
async def test_the_pairs_before_a_failure_are_made_again_with_it(
    make_exact: Callable[..., faust.App], streams: Redis, failing: str, how: str
) -> None:
    app = make_exact()
    left, right = joining(
        app, "inner_join", lambda pair, number: how if (pair, number) == (failing, 1) else ""
    )

    async with running(app):
        for value in ("l1", "l2", "l3"):
            await (await left.send(key="k", value=value))
        await eventually(lambda: is_done(streams), "the left side")
        await (await right.send(key="k", value="r"))
        await wait_outputs(streams, "l1 r", "l2 r", "l3 r")


@pytest.mark.parametrize("how", ["raise", "fail"])
async def test_a_partner_of_an_event_that_failed_makes_its_pair_once(
    make_exact: Callable[..., faust.App], streams: Redis, how: str
) -> None:
    app = make_exact()
    left, right = joining(
        app, "inner_join", lambda pair, number: how if (pair, number) == ("l1 r1", 1) else ""
    )

    async with running(app):
        await (await left.send(key="k", value="l1"))
        for value in ("r1", "r2", "r3"):
            await (await right.send(key="k", value=value))
        await (await left.send(key="k", value="l2"))
        expected = [f"{one} {other}" for one in ("l1", "l2") for other in ("r1", "r2", "r3")]
        await wait_outputs(streams, *expected)


async def test_without_exactly_once_the_pair_that_was_failed_comes_again_with_the_rest(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    left, right = joining(
        app, "inner_join", lambda pair, number: "fail" if (pair, number) == ("l2 r", 1) else ""
    )

    async with running(app):
        for value in ("l1", "l2", "l3"):
            await (await left.send(key="k", value=value))
        await eventually(lambda: is_done(streams), "the left side")
        await (await right.send(key="k", value="r"))
        await wait_outputs(streams, "l1 r", "l2 r", "l2 r", "l3 r")


async def test_an_event_without_a_partner_is_sent_on_once(
    make_exact: Callable[..., faust.App], streams: Redis
) -> None:
    app = make_exact()
    left, _ = joining(app, "left_join", lambda pair, number: "raise" if number == 1 else "")

    async with running(app):
        await (await left.send(key="k", value="l1"))
        await wait_outputs(streams, "l1 None")
