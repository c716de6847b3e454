"""Primaries are killed with -9 under load with cuts: nothing is doubled, misordered, crossed or hung.

With ``acks=all`` nothing is lost either. ``make failovers`` is the long form: ten kills, also of a cluster,
also of primaries whose replicas are behind, and restores of older data.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.behaviours.deployments.checks import Deployment, servers
from tests.support.chat_client import ChatClient
from tests.support.failover import Failover, failing
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

KILLS = int(os.environ.get("FAILOVER_KILLS", "0"))
#: Seconds of load for each kill, and around all of them.
KILL_SECONDS, MARGIN_SECONDS = 8, 4
#: Seconds of load around one kill in the suite, and before each kill.
SHORT_SECONDS, FIRST_SECONDS = 6, 2
#: Age of the data that replaces a killed primary's, where it is not as new as replication makes it.
BEHIND_SECONDS = 3
#: The count in the log line of a process that has noticed a loss.
LOST = re.compile(r"no record of the last (\d+) messages")
LONG = pytest.mark.skipif(not KILLS, reason="make failovers runs it")


async def load(
    deployed: Deployment, failover: Failover, report: Path, behind_seconds: float = 0.0
) -> dict[str, Any]:
    """Load the service while primaries are killed; return the report of the load test.

    Args:
        behind_seconds: the age of the data that replaces that of a primary.
    """
    seconds = MARGIN_SECONDS + int(KILL_SECONDS + behind_seconds) * KILLS if KILLS else SHORT_SECONDS
    plan = ("--sessions", "20", "--rate", "40", "--duration", f"{seconds}s", "--cut-every", "5")
    run = ("--echo", "--drain", "60s", "--json", str(report))
    running = asyncio.create_task(
        deployed.parley("load", "--url", deployed.up.url, *plan, *run, patience=1800)
    )
    await asyncio.sleep(FIRST_SECONDS)  # so that the first kill hits a load under way
    for number in range(max(KILLS, 1)):
        if number:
            await asyncio.sleep(FIRST_SECONDS)
        await failover.kill_primary(behind_seconds=behind_seconds)
    await asyncio.wait([running])
    found: dict[str, Any] = json.loads(await asyncio.to_thread(report.read_text, "utf-8"))
    return found


async def losses_of(deployed: Deployment) -> list[dict[str, Any]]:
    """Return the losses that the stage page shows."""
    async with ChatClient(deployed.up.url) as client, client.http.get("/api/stages") as response:
        losses: list[dict[str, Any]] = (await response.json())["losses"]
        return losses


@LONG
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_primaries_killed_before_they_have_replicated_misorder_and_double_nothing(
    kind: str, model: ModelServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        failover = stack.enter_context(failing(kind, tmp_path / "redis", **servers()))
        deployed = Deployment(failover.url, tmp_path, model.url, stack)

        found = await load(deployed, failover, tmp_path / "load.json")

    assert {name for name, count in found["faults"].items() if count} <= {"lost"}, found
    assert found["unfinished"] == 0, found


@LONG
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sentinel", "cluster", "rdb", "aof"])
async def test_data_of_three_seconds_ago_misorders_and_doubles_nothing_and_what_it_lacks_is_counted(
    kind: str, model: ModelServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        failover = stack.enter_context(failing(kind, tmp_path / "redis", **servers()))
        deployed = Deployment(failover.url, tmp_path, model.url, stack)

        found = await load(deployed, failover, tmp_path / "load.json", BEHIND_SECONDS)

        shown = await losses_of(deployed)
        logged = sum(int(count) for line in deployed.up.lines for count in LOST.findall(line))

    assert {name for name, count in found["faults"].items() if count} <= {"lost"}, found
    assert found["unfinished"] == 0, found
    # The page shows the losses of each process, some of which it has forgotten after many failovers.
    assert 0 < sum(each["lost"] for each in shown) <= logged


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sentinel", pytest.param("cluster", marks=LONG)])
async def test_killed_primaries_lose_nothing_that_their_replicas_have_confirmed(
    kind: str, model: ModelServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        failover = stack.enter_context(failing(kind, tmp_path / "redis", **servers()))
        url = ";".join(f"{address}?acks=all" for address in failover.url.split(";"))
        deployed = Deployment(url, tmp_path, model.url, stack)

        found = await load(deployed, failover, tmp_path / "load.json")

    assert set(found["faults"].values()) == {0}, found
    assert (found["errors"], found["answered"], found["unfinished"]) == ({}, found["sent"], 0), found
