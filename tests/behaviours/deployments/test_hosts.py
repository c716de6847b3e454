"""The service on three hosts, each with a Redis primary and replicas of the others', a web and agents.

One host after the other is killed, cut off both ways or one way, frozen, slow or lossy, and comes back, while
clients outside talk to any web that they reach. A confirmed write is on one replica (`acks=all`) and each
primary has two, so a host that is away neither loses a message nor holds one up for good. `make hosts` runs
it.
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
    pytest.mark.skipif(
        "HOSTS" in os.environ and bool(unavailable()), reason="needs root, iproute2 and nftables"
    ),
    pytest.mark.timeout(600),
]

SESSIONS = 12
#: Seconds within which all clients must be answered. Redis and the groups need up to 10; a client that talks
#: to the host in question gives it up after 8, and may choose it once more.
ANSWERED_SECONDS = 30.0
#: Less would be too slow for the bus of the cluster, whose packets take 0.7 Mbit/s of each host here.
SLOW_RATE = "2mbit"
LOST_PERCENT = 10
#: What is done to a host, by name.
FAULTS: dict[str, Callable[[Host], None]] = {
    "killed": Host.kill,
    "cut off": Host.cut_off,
    "mute": Host.mute,
    "deaf": Host.deafen,
    "frozen": Host.freeze,
    "slow": lambda host: host.slow_down(SLOW_RATE),
    "lossy": lambda host: host.lose(LOST_PERCENT),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_host_that_fails_and_comes_back_costs_no_message(
    installation: Installation, fault: str
) -> None:
    await installation.whole()
    async with Crowd(installation.urls, SESSIONS, seed=len(fault)) as crowd:
        for host in installation.hosts:
            await crowd.all_answered(ANSWERED_SECONDS)
            began = time.monotonic()
            FAULTS[fault](host)
            try:
                away, waiting = await crowd.all_answered(ANSWERED_SECONDS)
            finally:
                host.heal()
            assert not waiting, f"{fault}: no answers for {[each.ledger.name for each in waiting]}"
            if fault == "killed":
                installation.restart(host)
            back, waiting = await crowd.all_answered(ANSWERED_SECONDS)
            assert not waiting, f"no longer {fault}: no answers for {[each.ledger.name for each in waiting]}"
            await installation.whole()
            seconds = time.monotonic() - began
            print(
                f"{host.name} {fault}: answered after {away:.1f} s, {back:.1f} s; whole after {seconds:.1f} s"
            )
        await crowd.finish(BOUND_SECONDS)
    assert crowd.problems == []
