"""Redis deployments whose primaries are killed and replaced by their replicas, or by their older data."""

from __future__ import annotations

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from faust_redis.testing import HOST, Cluster, RedisServer, cluster, eventually, sentinel

#: A replica that comes back is filled at once.
_QUICK = "repl-diskless-sync-delay 0"


class Failover(ABC):
    """A deployment in which one primary after the other is killed with -9.

    Attributes:
        url: The address of the deployment.
    """

    url: str

    @abstractmethod
    async def kill_primary(self, *, behind_seconds: float = 0.0) -> None:
        """Kill a primary, wait until its replica has replaced it, and start the killed one as its replica.

        Args:
            behind_seconds: How long the replica has received nothing when the primary dies.
        """

    async def _replace(self, primary: RedisServer, replica: RedisServer, behind_seconds: float) -> None:
        if behind_seconds:
            replica.freeze()
            primary.call("CLIENT", "KILL", "TYPE", "replica")  # or its socket would hold what comes now
            await asyncio.sleep(behind_seconds)  # the age of the replica's data, not a wait for something
        primary.kill()
        replica.thaw()
        await eventually(lambda: self._is_primary(replica), "the replica to become the primary")
        # Not in a thread: Linux may end the server together with the thread that started it.
        primary.start()

    def _is_primary(self, server: RedisServer) -> bool:
        """Return whether a server is the primary for everybody, so that the former one may come back."""
        return _role(server) == "master"

    @staticmethod
    async def _synced(replica: RedisServer) -> None:
        def is_synced() -> bool:
            facts = _facts(replica)
            return (facts["role"], facts.get("master_link_status")) == ("slave", "up")

        await eventually(is_synced, "the killed server to be a replica")


class SentinelFailover(Failover):
    """A primary and its replica, watched by a Sentinel."""

    def __init__(self, url: str, servers: list[RedisServer]) -> None:
        self.url = url
        self._servers = {server.port: server for server in servers}
        self._sentinel = urlsplit(url).port or 0

    async def kill_primary(self, *, behind_seconds: float = 0.0) -> None:
        """Kill the primary as described; it does not wait for the Sentinel to make it a replica."""
        primary, replica = self._pair()
        await self._replace(primary, replica, behind_seconds)
        await eventually(self._is_paired, "a primary with the other server as its replica")

    def _is_primary(self, server: RedisServer) -> bool:
        # A Sentinel that gives a failover up would make it a replica of a former primary without data.
        return super()._is_primary(server) and self._pair()[0] is server

    def _is_paired(self) -> bool:
        """Return whether the Sentinel could fail over; make the server that it does not name a replica.

        On a busy machine it may fail over more than once, also back to the server that was killed. A replica
        of that one's choice would then be a replica of its own replica.
        """
        primary, replica = self._pair()
        facts = _facts(replica)
        if facts["role"] == "master":
            replica.call("REPLICAOF", HOST, primary.port)
        with redis.Redis(HOST, self._sentinel) as client:
            known = client.sentinel_slaves("streams")
        is_good = all(not each["is_sdown"] and each["master-link-status"] == "ok" for each in known)
        return is_good and _role(primary) == "master" and facts.get("master_link_status") == "up"

    def _pair(self) -> tuple[RedisServer, RedisServer]:
        """Return the primary according to the Sentinel, and the other server."""
        with redis.Redis(HOST, self._sentinel) as client:
            _, port = client.sentinel_get_master_addr_by_name("streams")
        (other,) = self._servers.keys() - {int(port)}
        return self._servers[int(port)], self._servers[other]


class ClusterFailover(Failover):
    """Three primaries, each with a replica."""

    def __init__(self, shards: Cluster) -> None:
        self.url = shards.url
        self._shards = shards
        self._kills = 0

    async def kill_primary(self, *, behind_seconds: float = 0.0) -> None:
        """Kill one primary after the other as described."""
        primaries = [node for node in self._shards.nodes.values() if _role(node) == "master"]
        primary = primaries[self._kills % len(primaries)]
        self._kills += 1
        (replica,) = (
            node
            for node in self._shards.nodes.values()
            if _role(node) == "slave" and int(_facts(node)["master_port"]) == primary.port
        )
        await self._replace(primary, replica, behind_seconds)
        await self._synced(primary)

        def agree() -> bool:
            return all(
                node.call("CLUSTER INFO")["cluster_state"] == "ok" for node in self._shards.nodes.values()
            )

        await eventually(agree, "a cluster that covers all slots")


class SnapshotRestore(Failover):
    """One server whose data an operator replaces by a copy of some seconds ago."""

    def __init__(self, server: RedisServer, folder: Path, data: str) -> None:
        """Take a server with its folder, and the name of the file or folder there that holds its data."""
        self.url = server.url
        self._server = server
        self._data = folder / data
        self._copy = folder / "copy"

    async def kill_primary(self, *, behind_seconds: float = 0.0) -> None:
        """Copy the data, kill the server some seconds later, and start it with the copy."""
        if self._data.suffix == ".rdb":
            await asyncio.to_thread(self._server.call, "SAVE")
        if self._data.is_dir():
            shutil.copytree(self._data, self._copy)
        else:
            shutil.copy(self._data, self._copy)
        await asyncio.sleep(behind_seconds)  # the age of the copy, not a wait for something
        self._server.kill()
        if self._data.is_dir():
            shutil.rmtree(self._data)
        self._copy.replace(self._data)
        self._server.start()


@contextmanager
def failing(kind: str, folder: Path, *, binary: Path, config: list[str]) -> Iterator[Failover]:
    """Run a deployment: ``sentinel`` or ``cluster``; ``rdb`` or ``aof`` for one server and its data."""
    lines = [*config, _QUICK]
    if kind in ("rdb", "aof"):
        is_aof = kind == "aof"
        if is_aof:
            lines += ["appendonly yes", "aof-load-truncated yes"]
        with RedisServer(folder, *lines, binary=binary) as server:
            yield SnapshotRestore(server, folder, "appendonlydir" if is_aof else "dump.rdb")
    elif kind == "sentinel":
        with sentinel(folder, binary=binary, config=lines) as (url, servers):
            yield SentinelFailover(url, servers)
    else:
        with cluster(folder, binary=binary, config=lines) as shards:
            yield ClusterFailover(shards)


def _facts(server: RedisServer) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = server.call("INFO", "replication")
    except redis.RedisError:
        return {"role": "away"}
    return facts


def _role(server: RedisServer) -> str:
    role: str = _facts(server)["role"]
    return role
