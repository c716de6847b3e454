"""Counts in a table and passes each count on through two topics; now and then an attempt fails after that."""

from __future__ import annotations

import os
import random
from typing import Any

import faust

import faust_redis
from tests.conformance.programs.common import SETTINGS

GUARANTEE = os.environ.get("TEST_GUARANTEE", "exactly_once")
FAILS = float(os.environ.get("TEST_FAILS", "0.01"))
#: The share of failures in which the agent raises; Faust takes a second to start it again.
RAISES = 0.05

app: Any = faust.App("exact", processing_guarantee=GUARANTEE, **SETTINGS)
moves = app.topic("moves", key_type=str)
counted = app.topic("counted", key_type=str)
#: Kept, so that the test can read all of it.
final = app.topic("final", key_type=str, retention=86_400.0)
counts = app.Table("counts", default=int)


def fail_now_and_then(event: Any) -> None:
    """Fail the attempt, after all its effects."""
    if random.random() < FAILS:
        if random.random() < RAISES:
            raise ValueError("now and then")
        faust_redis.fail(event, ValueError("now and then"))


@app.agent(moves)
async def count(stream: Any) -> None:
    async for event in stream.events():
        counts[event.key] += 1
        await counted.send(key=event.key, value=[event.value, counts[event.key]])
        fail_now_and_then(event)


@app.agent(counted)
async def pass_on(stream: Any) -> None:
    async for event in stream.events():
        await event.forward(final)
        fail_now_and_then(event)
