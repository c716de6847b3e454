"""Primaries are killed with -9 under load with cuts: nothing is doubled, misordered, crossed or hung.

With ``acks=all`` nothing is lost either. ``make failovers`` is the long form, with ten kills each.
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

KILLS = int(os.environ.get("FAILOVER_KILLS", "1"))
#: Seconds of load for each kill, and around all of them.
KILL_SECONDS, MARGIN_SECONDS = 9, 4


async def load(deployed: Deployment, failover: Failover, report: Path, **kills: float) -> dict[str, object]:
    """Load the service while primaries are killed, and return what the load test found."""
    seconds = MARGIN_SECONDS + KILL_SECONDS * KILLS if KILLS > 1 else KILL_SECONDS
    plan = ("--sessions", "20", "--rate", "40", "--duration", f"{seconds}s", "--cut-every", "5")
    run = ("--echo", "--drain", "60s", "--json", str(report))
    running = asyncio.create_task(deployed.parley("load", "--url", deployed.up.url, *plan, *run))
    await asyncio.sleep(2)  # so that the first kill hits a load under way
    for _ in range(KILLS):
        await failover.kill_primary(**kills)
        if KILLS > 1:
            await asyncio.sleep(2)
    await asyncio.wait([running])
    found: dict[str, object] = json.loads(report.read_text("utf-8"))
    return found


@pytest.mark.timeout(120 + 60 * KILLS)
@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_killed_primaries_lose_nothing_that_their_replicas_have_confirmed(
    kind: str, model: ModelServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        failover = stack.enter_context(failing(kind, tmp_path / "redis", **servers()))
        url = ";".join(f"{address}?acks=all" for address in failover.url.split(";"))
        deployed = Deployment(url, tmp_path, model.url, stack)

        found = await load(deployed, failover, tmp_path / "load.json")

    assert found["faults"] == dict.fromkeys(
        ("lost", "doubled", "misordered", "crossed", "unattributed"), 0
    ), found
    assert (found["errors"], found["answered"], found["unfinished"]) == ({}, found["sent"], 0), found
