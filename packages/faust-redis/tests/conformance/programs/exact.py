"""Counts in a table and passes each count on through two topics; now and then an agent raises after that."""

from __future__ import annotations

import os
import random
from typing import Any

import faust

from tests.conformance.programs.common import SETTINGS

GUARANTEE = os.environ.get("TEST_GUARANTEE", "exactly_once")
RAISES = float(os.environ.get("TEST_RAISES", "0.01"))

app: Any = faust.App("exact", processing_guarantee=GUARANTEE, **SETTINGS)
moves = app.topic("moves", key_type=str)
counted = app.topic("counted", key_type=str)
#: Kept, so that the test can read all of it.
final = app.topic("final", key_type=str, retention=86_400.0)
counts = app.Table("counts", default=int)


@app.agent(moves)
async def count(stream: Any) -> None:
    async for event in stream.events():
        counts[event.key] += 1
        await counted.send(key=event.key, value=[event.value, counts[event.key]])
        if random.random() < RAISES:
            raise ValueError("now and then")


@app.agent(counted)
async def pass_on(stream: Any) -> None:
    async for event in stream.events():
        await event.forward(final)
        if random.random() < RAISES:
            raise ValueError("now and then")
