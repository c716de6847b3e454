"""The service on three hosts, each with a Redis primary and replicas of the others', a web and agents.

One host after the other is killed, cut off both ways or one way, frozen, slow or lossy, and comes back, while
clients outside talk to any web that they reach. A confirmed write is on one replica (`acks=all`) and each
primary has two, so a host that is away neither loses a message nor holds one up for good. `make hosts` runs it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
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
            await crowd.all_answered(BOUND_SECONDS)
            began = time.monotonic()
            import asyncio
            tracer = asyncio.create_task(trace(crowd, host))
            import datetime
            print("FAULT AT", datetime.datetime.now(datetime.UTC).isoformat())
            FAULTS[fault](host)
            try:
                away, waiting = await crowd.all_answered(BOUND_SECONDS)
                if waiting:
                    await dump(installation, waiting)
            finally:
                tracer.cancel()
                print(f"{time.monotonic()-began:7.1f} healed")
                host.heal()
            assert not waiting, f"{fault}: no answers for {[each.ledger.name for each in waiting]}"
            if fault == "killed":
                installation.restart(host)
            back, waiting = await crowd.all_answered(BOUND_SECONDS)
            if waiting:
                await dump(installation, waiting)
            assert not waiting, f"no longer {fault}: no answers for {[each.ledger.name for each in waiting]}"
            await installation.whole()
            seconds = time.monotonic() - began
            print(
                f"{host.name} {fault}: answered after {away:.1f} s, {back:.1f} s; whole after {seconds:.1f} s"
            )
            for each, up in installation._ups.items():
                Path(f"/tmp/hosts/lines-{fault}-{each.name[-2:]}.log").write_text("\n".join(up.lines))
        await crowd.finish(BOUND_SECONDS)
    assert crowd.problems == []


async def dump(installation, waiting):
    import aiohttp, subprocess, sys
    for client in waiting:
        print("WAITING", client.ledger.name, client.token, client._avoided, client.sockets, [vars(e) if hasattr(e, "__dict__") else e for e in client.ledger.open], client._socket, client._heard, time.monotonic())
        for host in installation.hosts:
            for port in (7000, 7001, 7002):
                out = subprocess.run([*host.prefix, "timeout", "3", "redis-cli", "-h", host.address, "-p", str(port), "JSON.GET", "session:{%s}" % client.token], capture_output=True, text=True).stdout
                if not out.startswith("MOVED") : print(host.name, port, out)
    for host in installation.hosts:
        print(host.name, "slots\n", subprocess.run([*host.prefix, "timeout", "3", "redis-cli", "-h", host.address, "-p", "7000", "cluster", "nodes"], capture_output=True, text=True).stdout)
        for port in (7000, 7001, 7002):
            script = "for k in $(redis-cli -h %s -p %d keys '*'); do :; done" % (host.address, port)
            out = subprocess.run([*host.prefix, "timeout", "3", "redis-cli", "-h", host.address, "-p", str(port), "role"], capture_output=True, text=True).stdout
            print(host.name, port, out.split()[:1])
            if out.startswith("master"):
                print(subprocess.run([*host.prefix, "sh", "-c", "for k in $(redis-cli -h %s -p %d --scan --pattern '{*}' | grep -v :.*:); do echo $k; redis-cli -h %s -p %d xinfo groups $k | paste -s -d' '; done" % (host.address, port, host.address, port)], capture_output=True, text=True).stdout)
    for url in installation.urls:
        try:
            async with aiohttp.ClientSession() as http, http.get(url + "/api/stages", timeout=aiohttp.ClientTimeout(total=5)) as r:
                print(url, (await r.text())[:6000])
            async with aiohttp.ClientSession() as http, http.get(url + "/readyz", timeout=aiohttp.ClientTimeout(total=5)) as r:
                print(url, (await r.text())[:6000])
        except Exception as e:
            print(url, repr(e))
    for up in installation._ups.values():
        print("\n".join(up.lines[-120:]))
    sys.stdout.flush()


async def trace(crowd, host):
    import asyncio
    began = time.monotonic()
    state = {}
    while True:
        for c in crowd.clients:
            now = (c.ledger.answers, c.sockets, c._avoided[-8:-5], c._socket is not None, sum(e.accepted for e in c.ledger.open), len(c.ledger.open))
            if c not in state:
                state[c] = [now, 0]
                print("TRACE start", host.address, c.ledger.name, now)
            elif now != state[c][0]:
                if state[c][1] < 14 or time.monotonic() - began > 6:
                    print(f"TRACE {time.monotonic()-began:6.2f} {c.ledger.name} {now}")
                state[c][1] += 1
                state[c][0] = now
        await asyncio.sleep(0.05)
