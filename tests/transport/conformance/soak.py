"""A long time of the same load: what grows that should not? `make soak` runs it.

SOAK_SECONDS says how long (3600), SOAK_RATE how many events a second (200). One worker stays from beginning
to end, the other is stopped or killed every REPLACE_SECONDS and another takes its place. The exit status is 1
when memory, keys, consumers or descriptors have grown, or an event was lost, misordered or counted twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tests.support.faults import DurableRedis
from tests.support.waiting import eventually
from tests.transport.conformance.conftest import Lab
from tests.transport.conformance.faults import RECOVERY_SECONDS, Trial, Verdict

#: Seconds between samples, at the most.
INTERVAL = 10.0
REPLACE_SECONDS = 60.0
SAMPLES = 30
#: What a figure may grow by between the first half of a soak, its start left out, and its end.
ALLOWED = {
    "worker_kib": 6 * 1024,
    "redis_kib": 4 * 1024,
    "keys": 4,
    "consumers": 0,
    "entries": 200,
    "files": 2,
}


@dataclass(frozen=True)
class Sample:
    """How much there is of everything.

    Attributes:
        worker_kib: resident memory of the worker that stays.
        redis_kib: what Redis uses.
        keys: in Redis.
        consumers: of the group, in all partitions together, beyond one for each worker.
        entries: in the streams that workers read.
        files: descriptors of the worker that stays.
    """

    worker_kib: int
    redis_kib: int
    keys: int
    consumers: int
    entries: int
    files: int


class Soak(Trial):
    """A ledger that is kept at a steady pace, with a sample now and then."""

    def __init__(self, redis: DurableRedis, lab: Lab, rate: float) -> None:
        super().__init__(0, redis, lab, workers=2, pause=1 / rate)
        self.samples: list[Sample] = []

    async def soak(self, seconds: float) -> Verdict:
        """Keep the ledger for so long; return whether it is right."""
        await self.app.maybe_start_producer()
        sending = asyncio.create_task(self.send())
        await eventually(lambda: self.handled(), "the first event", RECOVERY_SECONDS)
        begun = time.monotonic()
        replaced, number = begun, 0
        print(*(field.name for field in fields(Sample)), sep="\t", flush=True)
        while (now := time.monotonic()) < begun + seconds and not sending.done():
            await asyncio.sleep(min(INTERVAL, seconds / SAMPLES))  # the pace of the samples
            self.samples.append(self._sample())
            print(*astuple(self.samples[-1]), sep="\t", flush=True)
            if now - replaced > min(REPLACE_SECONDS, seconds / 4):
                replaced, number = now, number + 1
                leaver = self.workers.pop()
                leaver.signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
                self.workers.append(self._start())
        return await self.end(sending)

    def grown(self) -> dict[str, int]:
        """Return by how much figures have grown that have grown by too much."""
        count = len(self.samples)
        early, late = self.samples[count // 4 : count // 2], self.samples[-count // 4 :]
        growth = {name: _median(late, name) - _median(early, name) for name in ALLOWED}
        return {name: by for name, by in growth.items() if by > ALLOWED[name]}

    def _sample(self) -> Sample:
        client, steady = self.lab.redis, self.workers[0].pid
        partitions = [f"{{moves:{number}}}" for number in range(4)]
        consumers = max(len(client.xinfo_consumers(partition, "ledger")) for partition in partitions)
        return Sample(
            worker_kib=_resident(steady),
            redis_kib=int(client.info("memory")["used_memory"]) // 1024,
            keys=int(client.dbsize()),
            consumers=max(0, consumers - len(self.workers)),
            entries=sum(int(client.xlen(partition)) for partition in partitions),
            files=len(os.listdir(f"/proc/{steady}/fd")),
        )


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text("ascii").split("VmRSS:")[1].split()[0])


def _median(samples: list[Sample], name: str) -> int:
    return int(statistics.median(getattr(sample, name) for sample in samples))


async def soak(seconds: float, rate: float, folder: Path) -> tuple[Verdict, dict[str, int]]:
    """Soak on a Redis of its own; return whether the ledger is right, and what has grown by how much."""
    with DurableRedis(folder / "redis") as redis:
        lab = Lab(redis.url, folder)
        try:
            trial = Soak(redis, lab, rate)
            verdict = await trial.soak(seconds)
        finally:
            lab.close()
    return verdict, trial.grown()


def main() -> int:
    """Run for SOAK_SECONDS at SOAK_RATE."""
    seconds, rate = float(os.environ.get("SOAK_SECONDS", "3600")), float(os.environ.get("SOAK_RATE", "200"))
    with tempfile.TemporaryDirectory() as folder:
        verdict, grown = asyncio.run(soak(seconds, rate, Path(folder)))
    print(verdict)
    print(f"grown: {grown or 'nothing'}")
    return 0 if verdict.good and not grown else 1


if __name__ == "__main__":
    sys.exit(main())
