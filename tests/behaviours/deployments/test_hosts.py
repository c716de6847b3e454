"""The service on three hosts, each with a Redis primary and replicas of the others', a web and agents.

One host after the other is killed, cut off both ways or one way, or slow, and comes back, while clients
outside talk to any web that they reach. A confirmed write is on one replica (`acks=all`) and each primary has
two, so a host that is away neither loses a message nor holds one up. `make hosts` runs all of it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from faust_redis.testing import eventually, wait_until
from parley.loadtest.lifting import LIFTED
from tests.behaviours.deployments.checks import servers
from tests.behaviours.lab.clients import Crowd
from tests.support.hosts import Host, Network, network, unavailable
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(unavailable()), reason=f"hosts: {unavailable()}"),
    pytest.mark.timeout(600),
]

LONG = pytest.mark.skipif("HOSTS" not in os.environ, reason="make hosts runs it")
PORT = 3500
PORTS = (7000, 7001, 7002)
REPLICAS = 2
SESSIONS = 12
_REDIS_LINES = (
    "appendonly yes",
    "cluster-enabled yes",
    "cluster-node-timeout 2000",
    "cluster-config-file nodes.conf",
    "repl-diskless-sync-delay 0",
)
# Seconds within which all clients must be answered, be a host away or back.
BOUND_SECONDS = 60.0
#: What is done to a host, by name.
FAULTS: dict[str, Callable[[Host], None]] = {
    "killed": Host.kill,
    "cut off": Host.cut_off,
    "mute": Host.mute,
    "deaf": Host.deafen,
    "slow": lambda host: host.slow_down("256kbit"),
}


class Installation:
    """The service on three hosts.

    Attributes:
        hosts: the hosts.
        urls: of their webs.
    """

    def __init__(self, net: Network, folder: Path, model_url: str, stack: ExitStack) -> None:
        self.hosts = net.hosts
        self.urls = [f"http://{host.address}:{PORT}" for host in net.hosts]
        self._folder = folder
        self._stack = stack
        self._model_url = model_url
        self._ups: dict[Host, Up] = {}
        for host in net.hosts:
            self._start_redis(host)
        places = [f"{host.address}:{port}" for port in PORTS for host in net.hosts]
        wait_until(lambda: all(self._facts()), "all Redis servers")
        create = [
            "redis-cli",
            "--cluster",
            "create",
            *places,
            "--cluster-replicas",
            str(REPLICAS),
            "--cluster-yes",
        ]
        subprocess.run(create, check=True, capture_output=True, timeout=60)

    def start(self, host: Host) -> None:
        """Start the service on a host."""
        seeds = ";".join(f"redis+cluster://{each.address}:{PORTS[0]}?acks=all" for each in self.hosts)
        settings = {"REDIS_URL": seeds, "HOST": host.address, "PORT": str(PORT), "APP_ENV": "production"}
        settings |= {**LIFTED, "MODEL_URL": self._model_url}
        self._folder.joinpath(host.name).mkdir(exist_ok=True)
        up = Up(self._folder / host.name, prefix=host.prefix, **settings)
        self._stack.callback(up.close)
        self._ups[host] = up

    async def ready(self) -> None:
        """Wait until every host is ready."""
        for up in self._ups.values():
            await asyncio.to_thread(up.wait_for, "Parley is ready")

    def restart(self, host: Host) -> None:
        """Start all again on a host whose processes were killed."""
        self._start_redis(host)
        self.start(host)

    async def whole(self) -> None:
        """Wait until all replicas are connected, and each host has a primary again.

        A host with two of three primaries would take the majority with it.
        """

        async def is_whole() -> bool:
            facts = await asyncio.to_thread(self._facts)
            if not all(each.get("master_link_status", "up") == "up" for each in facts):
                return False
            away = [host for host in self.hosts if _replication(host, PORTS[0]).get("role") != "master"]
            for host in away:
                with suppress(redis.RedisError):
                    await asyncio.to_thread(_call, host, PORTS[0], "CLUSTER", "FAILOVER")
            return all(facts) and not away

        await eventually(is_whole, "replicas of each primary", BOUND_SECONDS)

    def _facts(self) -> list[dict[str, str]]:
        return [_replication(host, port) for host in self.hosts for port in PORTS]

    def _start_redis(self, host: Host) -> None:
        server = servers()
        for port in PORTS:
            folder = self._folder / f"{host.name}-{port}"
            folder.mkdir(exist_ok=True)
            lines = (f"port {port}", f"bind {host.address}", "protected-mode no", 'save ""', *_REDIS_LINES)
            (folder / "redis.conf").write_text("\n".join((*lines, *server["config"])), "utf-8")
            host.start([str(server["binary"]), "redis.conf"], folder / "redis.log")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """The service, ready on three hosts."""
    with ExitStack() as stack:
        net = stack.enter_context(network(3))
        async with ModelServer(
            latency=0.05, tokens=6, token_delay=0.02, host=net.address(net.OUTSIDE)
        ) as model:
            made = Installation(net, tmp_path_factory.mktemp("hosts"), model.url, stack)
            for host in net.hosts:
                made.start(host)
            await made.ready()
            yield made


@pytest.mark.parametrize(
    "fault", ["deaf", *(pytest.param(each, marks=LONG) for each in FAULTS if each != "deaf")]
)
async def test_a_host_that_fails_and_comes_back_costs_no_message(
    installation: Installation, fault: str
) -> None:
    hosts = installation.hosts if "HOSTS" in os.environ else installation.hosts[:1]
    await installation.whole()
    async with Crowd(installation.urls, SESSIONS, seed=len(fault)) as crowd:
        for host in hosts:
            assert await crowd.all_answered(BOUND_SECONDS) is not None
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


def _call(host: Host, port: int, *command: str) -> Any:
    timeouts: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1}
    with redis.Redis(host.address, port, **timeouts, retry=Retry(NoBackoff(), 0)) as client:
        return client.execute_command(*command)


def _replication(host: Host, port: int) -> dict[str, str]:
    """Return the role of a server and the state of its link, empty if it does not answer."""
    try:
        found: dict[str, str] = _call(host, port, "INFO", "replication")
    except redis.RedisError:
        return {}
    return found
