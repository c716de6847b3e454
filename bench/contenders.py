"""Define the frameworks to measure: the command of a hop, and the format of stream entries."""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

__all__ = ["BODY", "HOPS", "PEERS", "Contender", "Peer", "contenders", "number_of"]

#: The clone, where all programs run.
ROOT = Path(__file__).parents[1]
#: The environment of the peers.
PEERS = ROOT / ".venv-bench"
#: Processes in a row.
HOPS = 4
#: A value of 200 bytes. Each message replaces it by its number, padded to as many digits.
BODY = b"<" + b"0" * 198 + b">"
#: The least number of different keys, like sessions that chat at the same time.
KEYS = 512

_NUMBER = re.compile(rb"<(\d{198})>")


@dataclass(frozen=True)
class Contender:
    """One way to forward messages.

    Attributes:
        name: in tables.
        command: the command that starts the hop named by BENCH_HOP.
        partitions: streams per hop; 0 when the hop is one stream of that name.
        environment: variables in addition to those that all get.
    """

    name: str
    command: tuple[str, ...]
    partitions: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def entry_id(self) -> str:
        """The id argument of ``XADD``."""
        return "0-*" if self.partitions else "*"

    def streams(self, hop: int) -> list[str]:
        """Return the keys of the streams that a hop reads; those of ``HOPS`` receive the final messages."""
        if self.partitions:
            return [f"{{hop{hop}:{number}}}" for number in range(self.partitions)]
        return [f"hop{hop}"]

    def start(self, hop: int, url: str, folder: Path) -> subprocess.Popen[bytes]:
        """Start the process of a hop; its output goes to a file in ``folder``."""
        with (folder / f"{self.name.replace(' ', '-')}-{hop}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                self.command,
                cwd=ROOT,
                env=self._variables(url)
                | {"BENCH_HOP": str(hop), "BENCH_DATADIR": str(folder / f"hop{hop}")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def sample(self, client: Any, url: str) -> list[bytes]:
        """Return the fields of an entry whose body is the number 0: names and values alternate."""
        return [b"v", BODY]

    def key(self, partition: int) -> list[bytes]:
        """Return the further fields of an entry in one partition; only Faust's entries have a key."""
        return []

    def feeder(self, url: str) -> subprocess.Popen[bytes] | None:
        """Start the framework's own feed; None where copies of its stream entries do."""
        return None

    def numbers(self, client: Any, entries: list[Any]) -> list[int]:
        """Return the numbers of the messages in entries of a last stream."""
        return [number_of(fields) for _, fields in entries]

    def _variables(self, url: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_REDIS_URL": url, **self.environment}


@dataclass(frozen=True)
class Faust(Contender):
    """Agents over this project's transport."""

    def sample(self, client: Any, url: str) -> list[bytes]:
        """Return an entry as ``pipeline/transport/wire.py`` describes it."""
        return [b"t", b"1700000000000", b"v", BODY]

    def key(self, partition: int) -> list[bytes]:
        """Return a key that stays on this partition, one of many and as long as a session's token."""
        return [b"k", random.choice(_keys(self.partitions)[partition])]


@dataclass(frozen=True)
class Peer(Contender):
    """Another framework; one of its own messages shows the format of its entries."""

    program: str = ""

    def sample(self, client: Any, url: str) -> list[bytes]:
        """Have the framework send one message, and take it out of Redis again."""
        command = [*_python(), f"bench/hops/{self.program}", "sample", BODY.decode()]
        subprocess.run(command, cwd=ROOT, env=self._variables(url), check=True, timeout=30)  # noqa: S603
        ((_, fields),) = client.xrange("hop0")
        client.delete("hop0")
        return [part for pair in fields.items() for part in pair]


@dataclass(frozen=True)
class TaskQueue(Peer):
    """A framework that keeps each task in a key of its own beside its stream entry, and so feeds itself.

    Attributes:
        stream: the name of a queue's stream.
        task_key: the key that holds a task of the last queue; "" where the entry holds it as well.
    """

    stream: str = ""
    task_key: str = ""

    def streams(self, hop: int) -> list[str]:
        """Return the key of the stream of a hop's queue."""
        return [self.stream.format(f"hop{hop}")]

    def sample(self, client: Any, url: str) -> list[bytes]:
        """Return nothing, because no entry is copied."""
        return []

    def feeder(self, url: str) -> subprocess.Popen[bytes]:
        """Start the program that enqueues the messages that a line of its input asks for."""
        return subprocess.Popen(  # noqa: S603
            [*_python(), f"bench/hops/{self.program}", "feed"],
            cwd=ROOT,
            env=self._variables(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def numbers(self, client: Any, entries: list[Any]) -> list[int]:
        """Return the numbers of the messages, which may be in keys beside the stream."""
        if not self.task_key:
            return super().numbers(client, entries)
        keys = [self.task_key + fields[b"task_id"].decode() for _, fields in entries]
        return [number_of({b"": task}) for task in client.mget(keys)] if keys else []


def contenders(partitions: int) -> list[Contender]:
    """Return all of them, the transport first and the floor last.

    Args:
        partitions: of each topic of the transport.
    """
    python = sys.executable
    faust = (python, "-m", "faust", "--quiet", "-A", "bench.hops.transport")
    worker = ("worker", "-l", "warn", "--without-web")
    settings = {"BENCH_PARTITIONS": str(partitions)}
    taskiq = (*_python(), "-m", "taskiq", "worker", "bench.hops.taskiq_hop:broker", "--workers", "1")
    taskiq = (*taskiq, "--log-level", "WARNING")
    return [
        Faust("transport", (*faust, *worker), partitions, settings),
        Faust("transport uvloop", (*faust, "-L", "uvloop", *worker), partitions, settings),
        Peer(
            "faststream", (*_python(), "bench/hops/faststream_hop.py", "plain"), program="faststream_hop.py"
        ),
        Peer(
            "faststream tuned",
            (*_python(), "bench/hops/faststream_hop.py", "tuned"),
            program="faststream_hop.py",
        ),
        Peer("taskiq", taskiq, program="taskiq_hop.py"),
        Peer(
            "taskiq tuned",
            (*taskiq, "--no-parse", "--max-async-tasks", "500", "--max-prefetch", "500"),
            environment={"BENCH_TUNED": "1"},
            program="taskiq_hop.py",
        ),
        *_task_queues(),
        Contender("bare redis-py 10 a read", (python, "bench/hops/bare.py", "10")),
        Contender("bare redis-py", (python, "bench/hops/bare.py", "200")),
    ]


def _task_queues() -> Iterator[TaskQueue]:
    for form in ("plain", "tuned"):
        yield TaskQueue(
            "streaq" if form == "plain" else "streaq tuned",
            (*_python(), "bench/hops/streaq_hop.py", form),
            program="streaq_hop.py",
            stream="streaq:{}:queues:normal",
            task_key=f"streaq:hop{HOPS}:task:data:",
        )
    command = (*_python(), "bench/hops/docket_hop.py", "run")
    yield TaskQueue("docket", command, program="docket_hop.py", stream="{}:stream")


def number_of(fields: dict[bytes, bytes]) -> int:
    """Return the number of the message in an entry."""
    found: Iterator[re.Match[bytes]] = (
        match for value in fields.values() if (match := _NUMBER.search(value))
    )
    return int(next(found).group(1))


@cache
def _keys(partitions: int) -> list[list[bytes]]:
    """Return keys by the partition they belong to, at least one for each."""
    keys: list[list[bytes]] = [[] for _ in range(partitions)]
    for number in itertools.count():
        if number >= KEYS and all(keys):
            break
        key = str(uuid.uuid4()).encode()
        keys[(murmur2(key) & 0x7FFFFFFF) % partitions].append(key)
    return keys


def _python() -> tuple[str, ...]:
    return (str(PEERS / "bin" / "python"),)
