"""The service on three hosts, each with a Redis primary and replicas of the others', a web and agents.

One host after the other is killed, cut off both ways or one way, or slow, and comes back, while clients
outside talk to any web that they reach. A confirmed write is on one replica (`acks=all`) and each primary has
two, so a host that is away neither loses a message nor holds one up for good. `make hosts` runs it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.behaviours.deployments.three_hosts import BOUND_SECONDS, Installation
from tests.behaviours.lab.clients import Crowd
from tests.support.hosts import Host, unavailable

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif("HOSTS" not in os.environ, reason="make hosts runs it"),
    pytest.mark.skipif("HOSTS" in os.environ and bool(unavailable()), reason="needs root and iproute2"),
    pytest.mark.timeout(600),
]

SESSIONS = 12
#: What is done to a host, by name.
FAULTS: dict[str, Callable[[Host], None]] = {
    "killed": Host.kill,
    "cut off": Host.cut_off,
    "mute": Host.mute,
    "deaf": Host.deafen,
    "slow": lambda host: host.slow_down("256kbit"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_host_that_fails_and_comes_back_costs_no_message(
    installation: Installation, fault: str
) -> None:
    await installation.whole()
    async with Crowd(installation.urls, SESSIONS, seed=len(fault)) as crowd:
        for host in installation.hosts:
            await crowd.all_answered(BOUND_SECONDS)
            began = time.monotonic()
            FAULTS[fault](host)
            try:
                away, waiting = await crowd.all_answered(BOUND_SECONDS)
            finally:
                host.heal()
            assert not waiting, f"{fault}: no answers for {[each.ledger.name for each in waiting]}"
            if fault == "killed":
                installation.restart(host)
            back, waiting = await crowd.all_answered(BOUND_SECONDS)
            assert not waiting, f"no longer {fault}: no answers for {[each.ledger.name for each in waiting]}"
            await installation.whole()
            seconds = time.monotonic() - began
            print(
                f"{host.name} {fault}: answered after {away:.1f} s, {back:.1f} s; whole after {seconds:.1f} s"
            )
        await crowd.finish(BOUND_SECONDS)
    assert crowd.problems == []
