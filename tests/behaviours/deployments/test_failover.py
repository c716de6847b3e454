"""Primaries are killed with -9 under load with cuts: nothing is doubled, misordered, crossed or hung.

With ``acks=all`` nothing is lost either. ``make failovers`` is the long form: ten kills, also of a cluster.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.behaviours.deployments.checks import Deployment, servers
from tests.support.failover import Failover, failing
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

KILLS = int(os.environ.get("FAILOVER_KILLS", "0"))
#: Seconds of load for each kill, and around all of them.
KILL_SECONDS, MARGIN_SECONDS = 8, 4
#: Seconds of load around one kill in the suite, and before each kill.
SHORT_SECONDS, FIRST_SECONDS = 6, 2
LONG = pytest.mark.skipif(not KILLS, reason="make failovers runs it")


async def load(deployed: Deployment, failover: Failover, report: Path) -> None:
    """Load the service while primaries are killed, and have the load test write its report."""
    seconds = MARGIN_SECONDS + KILL_SECONDS * KILLS if KILLS else SHORT_SECONDS
    plan = ("--sessions", "20", "--rate", "40", "--duration", f"{seconds}s", "--cut-every", "5")
    run = ("--echo", "--drain", "60s", "--json", str(report))
    running = asyncio.create_task(
        deployed.parley("load", "--url", deployed.up.url, *plan, *run, patience=1800)
    )
    await asyncio.sleep(FIRST_SECONDS)  # so that the first kill hits a load under way
    for number in range(max(KILLS, 1)):
        if number:
            await asyncio.sleep(FIRST_SECONDS)
        await failover.kill_primary()
    await asyncio.wait([running])


@LONG
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_primaries_killed_before_they_have_replicated_misorder_and_double_nothing(
    kind: str, model: ModelServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        failover = stack.enter_context(failing(kind, tmp_path / "redis", **servers()))
        deployed = Deployment(failover.url, tmp_path, model.url, stack)

        await load(deployed, failover, tmp_path / "load.json")

    found = json.loads((tmp_path / "load.json").read_text("utf-8"))
    assert {name for name, count in found["faults"].items() if count} <= {"lost"}, found
    assert found["unfinished"] == 0, found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sentinel", pytest.param("cluster", marks=LONG)])
async def test_killed_primaries_lose_nothing_that_their_replicas_have_confirmed(
    kind: str, model: ModelServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        failover = stack.enter_context(failing(kind, tmp_path / "redis", **servers()))
        url = ";".join(f"{address}?acks=all" for address in failover.url.split(";"))
        deployed = Deployment(url, tmp_path, model.url, stack)

        await load(deployed, failover, tmp_path / "load.json")

    found = json.loads((tmp_path / "load.json").read_text("utf-8"))
    assert set(found["faults"].values()) == {0}, found
    assert (found["errors"], found["answered"], found["unfinished"]) == ({}, found["sent"], 0), found
