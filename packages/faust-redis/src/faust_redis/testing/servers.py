"""Real Redis servers, each a process: a single one, one behind Sentinel, a cluster."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import redis

from faust_redis.testing.binaries import find_redis_server
from faust_redis.testing.waiting import wait_until

__all__ = ["HOST", "Cluster", "RedisServer", "cluster", "free_port", "self_signed_certificate", "sentinel"]

#: Where all servers listen.
HOST: Final = "127.0.0.1"
#: Milliseconds until a silent node counts as down.
NODE_TIMEOUT_MS: Final = 1500


def free_port() -> int:
    """Return a port of the loopback that the system has just found free."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


class RedisServer:
    """One redis-server process on a free port of the loopback; a context manager.

    Attributes:
        port: Its port, the same after each start.
        process: The process that was started last, None before the first start.
    """

    def __init__(
        self, folder: Path, *config: str, sentinel: bool = False, binary: Path | None = None
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: Where its configuration, log and data live; made if absent.
            config: Lines of its configuration, such as ``appendonly yes``.
            sentinel: Run it as a Sentinel.
            binary: The redis-server to run, by default that of ``find_redis_server``.

        Raises:
            FileNotFoundError: There is no server.
        """
        self._binary = binary or find_redis_server()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._config = (f"port {self.port}", f"bind {HOST}", f'dir "{folder}"', *config)
        self._sentinel = sentinel

    @property
    def url(self) -> str:
        """The address of the server, for a broker or a client."""
        return f"redis://{HOST}:{self.port}/0"

    def call(self, *command: str | int) -> Any:
        """Send one command and return its reply.

        Raises:
            redis.exceptions.RedisError: The server is away, or refuses the command.
        """
        with redis.Redis(HOST, self.port, decode_responses=True) as client:
            return client.execute_command(*command)

    def start(self) -> None:
        """Start the server, with the data it left before, and wait until it takes connections.

        Raises:
            AssertionError: It ended at its start; the message holds its log.
        """
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Start the process without waiting for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "redis.conf"
        config.write_text("\n".join(self._config), encoding="utf-8")
        mode = ["--sentinel"] if self._sentinel else ["--save", ""]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(self._binary), str(config), *mode], stdout=output, stderr=output
            )

    def wait_ready(self) -> None:
        """Wait until the server takes connections; it loads its data first.

        Raises:
            AssertionError: It ended at its start; the message holds its log.
        """
        marker = b"+monitor" if self._sentinel else b"Ready to accept connections"

        def is_ready() -> bool:
            assert self.process is not None, "spawn() comes first"
            log = self._log.read_bytes()
            if self.process.poll() is not None:
                # A connection of another process may have used the port briefly.
                assert b"in use" in log, log.decode(errors="replace")
                self.spawn()
            return marker in log

        wait_until(is_ready, f"a Redis server on port {self.port}")

    def freeze(self) -> None:
        """Suspend the process: connections stay open, but it does not answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume a frozen process."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the process with SIGTERM, so that its data is on disk, and wait for its end."""
        self._signal(signal.SIGTERM)
        if self.process is not None:
            self.process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)


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
def cluster(
    folder: Path, *, replicas: int = 1, binary: Path | None = None, config: Sequence[str] = ()
) -> Iterator[Cluster]:
    """Run a cluster of three primaries with replicas.

    Args:
        folder: Where the folders of the nodes are made.
        binary: The redis-server to run, by default that of ``find_redis_server``.
        config: Further lines for each node, such as ``loadmodule /path/rejson.so``.
    """
    lines = ("cluster-enabled yes", f"cluster-node-timeout {NODE_TIMEOUT_MS}", *config)
    with ExitStack() as stack:
        nodes = []
        for number in range(3 + 3 * replicas):
            bus = f"cluster-port {free_port()}"
            node = RedisServer(folder / str(number), *lines, bus, binary=binary)
            nodes.append(stack.enter_context(node))
        # Not every build of the server comes with its client, and any client will do.
        clients = [
            each.with_name("redis-cli") for each in (binary or find_redis_server(), find_redis_server())
        ]
        cli = next((path for path in clients if path.exists()), "redis-cli")
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
def sentinel(
    folder: Path, *, binary: Path | None = None, config: Sequence[str] = ()
) -> Iterator[tuple[str, list[RedisServer]]]:
    """Run a primary, its replica and a quick Sentinel; yield the broker's address, and both.

    Args:
        folder: Where the folders of the three servers are made.
        binary: The redis-server to run, by default that of ``find_redis_server``.
        config: Further lines for the primary and its replica.
    """
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(folder / "primary", *config, binary=binary))
        replicating = (f"replicaof {HOST} {primary.port}", "repl-diskless-sync-delay 0", *config)
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


def self_signed_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that signs itself; return it and its key."""
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=redis",
         "-addext", f"subjectAltName=IP:{HOST}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
