"""Redis as operators run it: with TLS, behind Sentinel, as a cluster. Real servers, each a process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from pipeline.embedded import Server, find_server
from pipeline.ports import free_port
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
#: Milliseconds until a silent node counts as down.
NODE_TIMEOUT_MS = 1500


def chosen_server() -> Server:
    """Return what the suite runs on: the embedded server, or the one that ``TEST_REDIS_SERVER`` names."""
    embedded = find_server()
    other = os.environ.get("TEST_REDIS_SERVER")
    return replace(embedded, binary=Path(other), origin="TEST_REDIS_SERVER") if other else embedded


class RedisServer:
    """One redis-server process; a context manager."""

    def __init__(self, folder: Path, *lines: str, sentinel: bool = False, binary: Path | None = None) -> None:
        """Describe it; `lines` go into its configuration, `binary` is by default what the suite runs on."""
        self._binary = binary or chosen_server().binary
        self.port = free_port(HOST)
        self._folder = folder
        self._lines = (f"port {self.port}", f"bind {HOST}", f'dir "{folder}"', *lines)
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, *command: str | int) -> Any:
        """Send one command and return its reply."""
        with redis.Redis(HOST, self.port, decode_responses=True) as client:
            return client.execute_command(*command)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config, log = self._folder / "redis.conf", self._folder / "log"
        config.write_text("\n".join(self._lines), encoding="utf-8")
        command = [
            str(self._binary),
            str(config),
            *(["--sentinel"] if self._sentinel else ["--save", ""]),
        ]
        marker = b"+monitor" if self._sentinel else b"Ready to accept connections"

        def spawn() -> None:
            with log.open("wb") as output:
                self._process = subprocess.Popen(command, stdout=output, stderr=output)

        def started() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                said = log.read_bytes()
                # A connection of some other process may have had its port for a moment.
                assert b"in use" in said, said.decode(errors="replace")
                spawn()
            return marker in log.read_bytes()

        spawn()
        wait_until(started, f"a Redis server on port {self.port}")

    def kill(self) -> None:
        """End it with -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()


class Cluster:
    """Three primaries, with or without replicas.

    Attributes:
        nodes: The servers, by port.
    """

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = {node.port: node for node in nodes}

    @property
    def url(self) -> str:
        """The address for a broker; two nodes, of which one may be down."""
        first, second, *_ = self.nodes
        return f"redis+cluster://{HOST}:{first};redis+cluster://{HOST}:{second}"

    def client(self) -> redis.RedisCluster:
        """A new client."""
        return redis.RedisCluster(HOST, next(iter(self.nodes)), decode_responses=True)

    def empty(self) -> None:
        """Remove all keys."""
        with self.client() as client:
            for node in client.get_primaries():
                self.nodes[int(node.port)].call("FLUSHALL")

    def holder(self, key: str) -> RedisServer:
        """Return the primary that holds a key."""
        with self.client() as client:
            node = client.get_node_from_key(key)
            assert node is not None
            return self.nodes[int(node.port)]

    def move(self, key: str) -> None:
        """Move the slot of a key to another primary, as resharding does."""
        with self.moving(key):
            pass

    @contextmanager
    def moving(self, key: str) -> Iterator[None]:
        """Move the slot of a key to another primary; during the block its keys are there, but it is not."""
        source = self.holder(key)
        with self.client() as client:
            slot = client.keyslot(key)
            primaries = {int(node.port): node for node in client.get_primaries()}
        target = self.nodes[next(port for port in primaries if port != source.port)]
        ids = {node.port: node.call("CLUSTER MYID") for node in (source, target)}
        target.call("CLUSTER SETSLOT", slot, "IMPORTING", ids[source.port])
        source.call("CLUSTER SETSLOT", slot, "MIGRATING", ids[target.port])
        while keys := source.call("CLUSTER GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
        yield
        for port in primaries:
            self.nodes[port].call("CLUSTER SETSLOT", slot, "NODE", ids[target.port])


@contextmanager
def cluster(folder: Path, *, replicas: int = 1, binary: Path | None = None) -> Iterator[Cluster]:
    """Run a cluster of three primaries, each with so many replicas."""
    lines = ("cluster-enabled yes", f"cluster-node-timeout {NODE_TIMEOUT_MS}")
    with ExitStack() as stack:
        nodes = []
        for number in range(3 + 3 * replicas):
            bus = f"cluster-port {free_port(HOST)}"
            node = RedisServer(folder / str(number), *lines, bus, binary=binary)
            nodes.append(stack.enter_context(node))
        cli = find_server().binary.with_name("redis-cli")
        places = [f"{HOST}:{node.port}" for node in nodes]
        create = [str(cli), "--cluster", "create", *places, "--cluster-replicas", str(replicas)]
        create.append("--cluster-yes")
        subprocess.run(create, check=True, capture_output=True, timeout=60)
        wait_until(
            lambda: all(_is_whole(node, 3 * replicas) for node in nodes), "a cluster that covers all slots"
        )
        yield Cluster(nodes)


def _is_whole(node: RedisServer, replicas: int) -> bool:
    roles = [facts["flags"] for facts in node.call("CLUSTER NODES").values()]
    whole = node.call("CLUSTER INFO")["cluster_state"] == "ok"
    return whole and sum("slave" in role for role in roles) == replicas


@contextmanager
def sentinel(folder: Path, *, binary: Path | None = None) -> Iterator[tuple[str, list[RedisServer]]]:
    """Run a primary, its replica and a quick Sentinel; yield the broker's address, and both."""
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(folder / "primary", binary=binary))
        replicating = (f"replicaof {HOST} {primary.port}", "repl-diskless-sync-delay 0")
        replica = stack.enter_context(RedisServer(folder / "replica", *replicating, binary=binary))
        monitoring = (
            f"sentinel monitor streams {HOST} {primary.port} 1",
            "sentinel down-after-milliseconds streams 1000",
            "sentinel failover-timeout streams 5000",
        )
        asked = RedisServer(folder / "sentinel", *monitoring, sentinel=True, binary=binary)
        watcher = stack.enter_context(asked)
        wait_until(lambda: replica.call("INFO", "replication")["master_link_status"] == "up", "a replica")
        wait_until(lambda: watcher.call("SENTINEL REPLICAS", "streams"), "a Sentinel that knows it")
        yield f"redis+sentinel://{HOST}:{watcher.port}/streams/0", [primary, replica]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that signs itself; return it and its key."""
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=redis",
         "-addext", f"subjectAltName=IP:{HOST}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
