"""Sockets break at random moments while answers stream: no gap, no double, right order.

CUTS says how many each of the clients goes through (8); `make cuts` does a thousand in all.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from faust_redis.testing import eventually
from tests.behaviours.faults.talkers import TURN_SECONDS, Tally, talk
from tests.support.faults import FaultyRedis, kill
from tests.support.service import Up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("trickling")]

CLIENTS = 10
FAULTS = 2
CUTS = int(os.environ.get("CUTS", "8"))
SEED = int(os.environ.get("CUTS_SEED", "1"))


async def under(up: Up, fault: Callable[[], Awaitable[None]], seed: int) -> Tally:
    """Talk while a fault happens, and happens again after some answers."""
    tally = Tally()
    talking = asyncio.create_task(talk(up.url, CLIENTS, CUTS, SEED + seed, tally))
    for _ in range(FAULTS):
        turns = tally.turns

        def gone_on(turns: int = turns) -> bool:
            return talking.done() or tally.turns >= turns + CLIENTS

        await eventually(gone_on, "some answers", TURN_SECONDS)
        if not talking.done():
            await fault()
    await talking
    return tally


async def test_sockets_that_are_cut_at_random_miss_nothing_and_hear_nothing_twice(up: Up) -> None:
    tally = Tally()
    await talk(up.url, CLIENTS, CUTS, SEED, tally)
    assert tally.errors == []
    assert tally.cuts >= CLIENTS * CUTS
    assert tally.joined > 0, "sockets joined in mid-answer"
    assert tally.stopped > 0


@pytest.mark.parametrize("part", ["infer", "web", "deliver"])
async def test_processes_killed_in_mid_answer_are_made_up_for(up: Up, part: str) -> None:
    tally = await under(up, lambda: kill(up, part), 100)
    assert tally.errors == []
    if part == "infer":
        assert tally.restarted + tally.joined > 0


async def test_a_redis_that_restarts_in_mid_answer_is_made_up_for(up: Up, own_redis: FaultyRedis) -> None:
    tally = await under(up, lambda: own_redis.down(signal.SIGTERM, 0.5), 200)
    assert tally.errors == []
