"""Workers are restarted in turn under load: no error, and no pause for anybody.

The short form, without the service, is packages/faust-redis/tests/test_cooperation.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from faust_redis.testing import eventually
from pipeline.redis.client import connect, execute
from pipeline.settings import STAGES
from tests.support.faults import BACK_SECONDS, another_agent
from tests.support.load_driver import Load, Report
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not os.environ.get("RESTARTS"), reason="takes a minute: make restarts"),
]

SOCKETS = 12
#: Seconds that an answer may take longer than usual.
PAUSE_SECONDS = 1.0
LONG_ANSWER_SECONDS = 3.0


async def members(up: Up, stage: str) -> set[str]:
    """Return the members of a stage if there are two, both with partitions, else none."""
    async with connect(up.redis_url) as redis:
        joined = set(await execute(redis, "HKEYS", f"faust:{{{stage}}}:members"))
        planned = set(await execute(redis, "HKEYS", f"faust:{{{stage}}}:plan"))
    return {member.decode() for member in joined} if joined == planned and len(joined) == 2 else set()


async def restart(up: Up, stage: str) -> None:
    """Stop the worker that `parley up` has started, and wait until its successor has partitions."""
    (pid,) = [pid for pid in up.agents(stage) if pid in up.children()]

    async def are_two() -> set[str]:
        return await members(up, stage)

    async def are_two_others() -> bool:
        return bool(now := await members(up, stage)) and not any(f"-{pid}-" in member for member in now)

    await eventually(are_two, f"two workers of {stage}", BACK_SECONDS)
    os.kill(pid, signal.SIGTERM)
    await eventually(are_two_others, f"a successor in {stage}", BACK_SECONDS)


@asynccontextmanager
async def under_load(up: Up, name: str) -> AsyncIterator[tuple[Load, Report]]:
    """Keep clients talking; the report is filled in when the block ends."""
    async with Load(up.url, SOCKETS, name=name) as load, load.going_on() as report:
        await load.everyone_was_answered()
        yield load, report


async def test_a_worker_that_joins_stops_and_is_replaced_holds_up_nobody(up: Up, tmp_path: Path) -> None:
    async with under_load(up, "steady") as (load, steady):
        await load.everyone_was_answered()
    for stage in STAGES:
        log = tmp_path / f"{stage}.log"
        async with (
            under_load(up, f"restart-{stage}") as (load, report),
            another_agent(up, stage, log, signal.SIGTERM),
        ):
            await restart(up, stage)
            await load.everyone_was_answered()
        report.check()
        assert report.reconnects == 0
        assert report.latencies[-1] < steady.latencies[-1] + PAUSE_SECONDS, (
            f"{stage}: {report}, before: {steady}"
        )


async def test_a_worker_that_joins_and_stops_while_long_answers_run_holds_up_nobody(
    up: Up, model: ModelServer, tmp_path: Path
) -> None:
    model.latency = LONG_ANSWER_SECONDS
    log = tmp_path / "infer.log"
    async with under_load(up, "long") as (load, report), another_agent(up, "infer", log, signal.SIGTERM):
        await restart(up, "infer")
        await load.everyone_was_answered()
    report.check()
    assert report.latency(0.5) < LONG_ANSWER_SECONDS + PAUSE_SECONDS
