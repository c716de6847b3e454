"""The service is upgraded while it is used: agents of the previous version run beside those of this one.

`make upgrades` runs it; packages/faust-redis/tests/test_upgrades.py is the short form.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.settings import STAGES
from tests.support.faults import FaultyRedis, another_agent
from tests.support.load_driver import Load
from tests.support.model_server import ModelServer
from tests.support.previous import extract_previous
from tests.support.service import CLONE, Up, started

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not os.environ.get("UPGRADES"), reason="takes a minute: make upgrades"),
]

SOCKETS = 12


@contextmanager
def service(folder: Path, path: str, model: ModelServer, redis: FaultyRedis) -> Iterator[Up]:
    """Run the version whose modules are at a path."""
    settings = {"MODEL_URL": model.url, "REDIS_URL": redis.url, "PYTHONPATH": path}
    with started(folder, APP_ENV="production", **settings) as up:
        yield up


@pytest.mark.parametrize("joining", ["this version", "the previous version"])
async def test_agents_of_two_versions_work_on_the_same_sessions(
    joining: str, model: ModelServer, own_redis: FaultyRedis, tmp_path: Path
) -> None:
    source = extract_previous(tmp_path / "previous")
    previous = f"{source}{os.pathsep}{source}/packages/faust-redis/src"
    running, other = (previous, CLONE) if joining == "this version" else (CLONE, previous)
    with service(tmp_path, running, model, own_redis) as up:
        up.environment["PYTHONPATH"] = other
        async with Load(up.url, SOCKETS, name=joining[:8]) as load, load.going_on() as report:
            await load.everyone_was_answered()
            for stage in STAGES:
                async with another_agent(up, stage, tmp_path / f"{stage}.log", signal.SIGTERM):
                    await load.everyone_was_answered()
            await load.everyone_was_answered()
    report.check()
    assert report.reconnects == 0
