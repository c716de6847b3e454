"""How much there is of everything, at one moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import redis

from faust_redis.log.keys import Keys
from tests.worker import Worker

KEYS = Keys()

GROUP = "soaked"
PARTITIONS = 4
QUEUES = [f"{{{topic}:{number}}}" for topic in ("drops", "passed") for number in range(PARTITIONS)]
LOGS = [f"{{soaked-{table}-changelog:{n}}}" for table in ("lasts", "recent") for n in range(PARTITIONS)]


@dataclass(frozen=True)
class Sample:
    """The measured state.

    Attributes:
        steady_kib: Resident memory of the worker that stays.
        other_kib: The same of the youngest worker.
        steady_files: Descriptors of the worker that stays.
        other_files: The same of the youngest worker.
        redis_kib: What Redis uses.
        keys: In Redis.
        names: Of consumers, of all groups together.
        strangers: Names of consumers that are no members of the group.
        entries: In the topics that the agents read.
        pending: Of those, the ones that were read and not acked.
        changes: Entries in the changelogs.
    """

    steady_kib: int
    other_kib: int
    steady_files: int
    other_files: int
    redis_kib: int
    keys: int
    names: int
    strangers: int
    entries: int
    pending: int
    changes: int

    @classmethod
    def heading(cls) -> str:
        """Return the names of the columns of `str`."""
        return " ".join(f"{field.name:>12}" for field in fields(cls))

    def __str__(self) -> str:
        return " ".join(f"{getattr(self, field.name):>12}" for field in fields(self))


def take_sample(client: redis.Redis, workers: Sequence[Worker]) -> Sample:
    """Count what there is; the first worker is the one that stays, the last one the youngest."""
    steady, other = workers[0].pid, workers[-1].pid
    names = {name for stream in QUEUES for name in consumers(client, stream)}
    members = client.hkeys(KEYS.group(GROUP).members)
    return Sample(
        steady_kib=resident_kib(steady),
        other_kib=resident_kib(other),
        steady_files=_files(steady),
        other_files=_files(other),
        redis_kib=int(client.info("memory")["used_memory"]) // 1024,
        keys=int(client.dbsize()),
        names=len(names),
        strangers=len(names.difference(members)),
        entries=sum(int(client.xlen(stream)) for stream in QUEUES),
        pending=sum(_pending(client, stream) for stream in QUEUES),
        changes=sum(int(client.xlen(stream)) for stream in LOGS),
    )


def consumers(client: redis.Redis, stream: str) -> list[str]:
    """Return the names of the consumers of a partition."""
    return [consumer["name"] for consumer in client.xinfo_consumers(stream, GROUP)]


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/status").read_text("ascii").split("VmRSS:")[1].split()[0])


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _pending(client: redis.Redis, stream: str) -> int:
    return int(client.xpending(stream, GROUP)["pending"])
