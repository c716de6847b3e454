"""The whole service on three hosts, each with a Redis primary and replicas, a web and agents."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from faust_redis.testing import eventually, wait_until
from parley.loadtest.lifting import LIFTED
from tests.behaviours.deployments.checks import servers
from tests.support.hosts import Host, Network
from tests.support.service import Up

#: Seconds within which a host that is back has replicas of all primaries.
BOUND_SECONDS: Final = 60.0
_PORT = 3500
_REDIS_PORTS = (7000, 7001, 7002)
_REPLICAS = 2
_REDIS_LINES = (
    "appendonly yes",
    "cluster-enabled yes",
    "cluster-node-timeout 2000",
    "cluster-config-file nodes.conf",
    "repl-diskless-sync-delay 0",
)


class Installation:
    """The service on three hosts.

    Attributes:
        hosts: the hosts.
        urls: of their webs.
    """

    def __init__(self, net: Network, folder: Path, model_url: str, stack: ExitStack) -> None:
        self.hosts = net.hosts
        self.urls = [f"http://{host.address}:{_PORT}" for host in net.hosts]
        self._folder = folder
        self._stack = stack
        self._model_url = model_url
        self._ups: dict[Host, Up] = {}
        for host in net.hosts:
            self._start_redis(host)
        places = [f"{host.address}:{port}" for port in _REDIS_PORTS for host in net.hosts]
        wait_until(lambda: all(self._facts()), "all Redis servers")
        create = [
            "redis-cli",
            "--cluster",
            "create",
            *places,
            "--cluster-replicas",
            str(_REPLICAS),
            "--cluster-yes",
        ]
        subprocess.run(create, check=True, capture_output=True, timeout=60)

    def start(self, host: Host) -> None:
        """Start the service on a host."""
        seeds = ";".join(f"redis+cluster://{each.address}:{_REDIS_PORTS[0]}?acks=all" for each in self.hosts)
        settings = {"REDIS_URL": seeds, "HOST": host.address, "PORT": str(_PORT), "APP_ENV": "production"}
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
            first = facts[:: len(_REDIS_PORTS)]
            away = [
                host for host, each in zip(self.hosts, first, strict=True) if each.get("role") != "master"
            ]
            for host in away:
                with suppress(redis.RedisError):
                    await asyncio.to_thread(_call, host, _REDIS_PORTS[0], "CLUSTER", "FAILOVER")
            return all(facts) and not away

        await eventually(is_whole, "replicas of each primary", BOUND_SECONDS)

    def _facts(self) -> list[dict[str, str]]:
        return [_replication(host, port) for host in self.hosts for port in _REDIS_PORTS]

    def _start_redis(self, host: Host) -> None:
        server = servers()
        for port in _REDIS_PORTS:
            folder = self._folder / f"{host.name}-{port}"
            folder.mkdir(exist_ok=True)
            lines = (f"port {port}", f"bind {host.address}", "protected-mode no", 'save ""', *_REDIS_LINES)
            (folder / "redis.conf").write_text("\n".join((*lines, *server["config"])), "utf-8")
            host.start([str(server["binary"]), "redis.conf"], folder / "redis.log")


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
