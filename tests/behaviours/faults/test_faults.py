"""Processes die, Redis stops, workers come and go, all under load: nothing is lost, doubled or crossed.

The short form of tests.behaviours.faults.chaos, in a fixed order.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from pipeline.redis.client import connect, execute
from tests.support.faults import PARTS, FaultyRedis, another_agent, kill
from tests.support.load_driver import Load
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOCKETS = 12
OUTAGE_SECONDS = 5.0
WITHDRAWN_SECONDS = 3.0


async def test_each_part_in_turn_is_killed(up: Up) -> None:
    async with Load(up.url, SOCKETS, name="kill") as load, load.going_on() as report:
        await load.everyone_was_answered()
        for part in PARTS:
            await kill(up, part)
            await load.everyone_was_answered()
    report.check()
    assert report.reconnects > 0, "the web process that was killed had sockets"


async def test_redis_is_stopped_and_started_again(up: Up, own_redis: FaultyRedis) -> None:
    async with Load(up.url, SOCKETS, name="stop") as load, load.going_on() as report:
        await load.everyone_was_answered()
        await own_redis.down(signal.SIGTERM, OUTAGE_SECONDS)
        await load.everyone_was_answered()
    report.check()
    assert report.reconnects == 0, "the sockets stay open"


async def test_redis_is_killed(up: Up, own_redis: FaultyRedis) -> None:
    async with Load(up.url, SOCKETS, name="crash") as load, load.going_on() as report:
        await load.everyone_was_answered()
        await own_redis.down(signal.SIGKILL, 0.0)
        await load.everyone_was_answered()
    report.check()
    assert report.reconnects == 0, "the sockets stay open"


async def test_redis_freezes(up: Up, own_redis: FaultyRedis) -> None:
    async with Load(up.url, SOCKETS, name="freeze") as load, load.going_on() as report:
        await load.everyone_was_answered()
        await own_redis.frozen(OUTAGE_SECONDS)
        await load.everyone_was_answered()
    report.check()
    assert report.reconnects == 0, "the sockets stay open"


@pytest.mark.parametrize("command", ["json.set", "xadd"])
async def test_a_right_is_withdrawn_for_a_while(up: Up, own_redis: FaultyRedis, command: str) -> None:
    async with (
        connect(own_redis.url) as redis,
        Load(up.url, SOCKETS, name=command) as load,
        load.going_on() as report,
    ):
        await load.everyone_was_answered()
        await execute(redis, "ACL", "SETUSER", "default", f"-{command}")
        await asyncio.sleep(WITHDRAWN_SECONDS)  # the length of the outage
        await execute(redis, "ACL", "SETUSER", "default", f"+{command}")
        await load.everyone_was_answered()
    report.check()


async def test_a_second_worker_joins_and_is_killed(up: Up, tmp_path: Path) -> None:
    async with Load(up.url, SOCKETS, name="scale") as load, load.going_on(at_once=3) as report:
        await load.everyone_was_answered()
        async with another_agent(up, "infer", tmp_path / "infer.log"):
            await load.everyone_was_answered()
        await load.everyone_was_answered()
    report.check()
    assert report.reconnects == 0
