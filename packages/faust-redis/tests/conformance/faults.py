"""Faults at random under load, and a checker of what they did; `make conformance-faults` runs it.

FAULTS_SECONDS says how long (300), FAULTS_SEED which faults come: it is printed, so that a run can be
repeated. The exit status is 1 when an event was lost, came out of the order of its key, or counted twice.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import faust

from faust_redis.testing import RedisServer, eventually
from tests.conformance.conftest import Lab
from tests.worker import Worker

KEYS = [f"key-{number}" for number in range(16)]
#: Seconds until a group has settled again, on a busy machine.
RECOVERY_SECONDS = 90.0
SESSION_TIMEOUT = 3.0
#: Seconds between messages.
PAUSE = 0.005


@dataclass
class Verdict:
    """The findings of the checker.

    Attributes:
        lost: Numbers that no worker has handled, per key.
        misordered: Numbers first handled after a later one of their key.
        redelivered: How often a number was handled again: allowed, and told apart by the table.
        gaps: Numbers that a worker's table had not led up to: an owner with an old table.
        miscounted: What the table holds at the end where it is not each number once.
    """

    lost: dict[str, list[int]] = field(default_factory=dict)
    misordered: list[str] = field(default_factory=list)
    redelivered: int = 0
    gaps: list[str] = field(default_factory=list)
    miscounted: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Nothing was lost, misordered or miscounted."""
        return not (self.lost or self.misordered or self.gaps or self.miscounted)


class Trial:
    """A ledger that is kept while its workers and Redis fail."""

    def __init__(self, seed: int, redis: RedisServer, lab: Lab, workers: int, pause: float = PAUSE) -> None:
        self.random = random.Random(seed)
        self.redis = redis
        self.lab = lab
        self.pause = pause
        self.file = lab.folder / "handled"
        self.workers = [self._start() for _ in range(workers)]
        self.app = faust.App("sender", broker=lab.url, topic_partitions=4)
        self.topic = self.app.topic("moves", key_type=str)
        self.sent: Counter[str] = Counter()
        self.faults: list[tuple[int, Callable[[], Awaitable[str]]]] = [
            (4, self._kill),
            (3, self._stop),
            (3, self._freeze),
            (2, self._join),
            (2, self._cut_off),
            (2, self._restart_redis),
            (1, self._freeze_redis),
        ]

    def _start(self, *, ready: bool = False) -> Worker:
        settings = {"session_timeout": SESSION_TIMEOUT, "file": self.file}
        return self.lab.start("ledger", ready=ready, **settings)  # type: ignore[arg-type]

    # -- load ---------------------------------------------------------------------------------------------

    async def send(self) -> None:
        """Send numbers, each key its own sequence, until cancelled."""
        while True:
            key = self.random.choice(KEYS)
            self.sent[key] += 1
            await self.topic.send(key=key, value=self.sent[key])
            await asyncio.sleep(self.pause)

    # -- faults -------------------------------------------------------------------------------------------

    async def _kill(self) -> str:
        worker = self._replace()
        worker.signal(signal.SIGKILL)
        return f"killed {worker.pid}"

    async def _stop(self) -> str:
        worker = self._replace()
        worker.signal(signal.SIGTERM)
        return f"stopped {worker.pid}"

    async def _freeze(self) -> str:
        worker = self.random.choice(self.workers)
        seconds = SESSION_TIMEOUT * self.random.uniform(0.3, 2)
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        worker.signal(signal.SIGCONT)
        return f"froze {worker.pid} for {seconds:.1f} s"

    async def _join(self) -> str:
        worker = self._start()
        leaver = self.workers.pop(self.random.randrange(len(self.workers)))
        self.workers.append(worker)
        await asyncio.sleep(self.random.uniform(0, 3))
        leaver.signal(signal.SIGTERM)
        return f"{worker.pid} joined, {leaver.pid} left"

    async def _cut_off(self) -> str:
        ended = self.lab.redis.client_kill_filter(_type="normal")
        return f"ended {ended} connections"

    async def _restart_redis(self) -> str:
        seconds = self.random.uniform(0, 3)
        self.random.choice([self.redis.kill, self.redis.stop])()
        await asyncio.sleep(seconds)  # the length of the outage
        self.redis.start()
        return f"Redis away for {seconds:.1f} s"

    async def _freeze_redis(self) -> str:
        seconds = self.random.uniform(1, SESSION_TIMEOUT * 1.5)
        self.redis.freeze()
        try:
            await asyncio.sleep(seconds)  # the length of the outage
        finally:
            self.redis.thaw()
        return f"Redis froze for {seconds:.1f} s"

    def _replace(self) -> Worker:
        worker = self.workers.pop(self.random.randrange(len(self.workers)))
        self.workers.append(self._start())
        return worker

    # -- course -------------------------------------------------------------------------------------------

    async def run(self, seconds: float) -> Verdict:
        """Fail for so long, heal, and check."""
        return await self.end(await self.fail(seconds))

    async def fail(self, seconds: float) -> asyncio.Task[None]:
        """Send while things fail, for so long; return the task that sends."""
        await self.app.maybe_start_producer()
        sending = asyncio.create_task(self.send())
        await eventually(lambda: self.handled(), "the first event", RECOVERY_SECONDS)
        end = time.monotonic() + seconds
        weights, faults = zip(*self.faults, strict=True)
        while time.monotonic() < end and not sending.done():
            await asyncio.sleep(self.random.uniform(0, 2))
            (fault,) = self.random.choices(faults, weights)
            print(f"{end - time.monotonic():6.1f} s left: {await fault()}", flush=True)
        return sending

    async def end(self, sending: asyncio.Task[None]) -> Verdict:
        """Send no more, let all be handled, and check."""
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await self.app.producer.flush()
        await eventually(self._all_handled, "all that was sent to be handled", RECOVERY_SECONDS)
        await self.app.producer.stop()
        # A table that is recovered from its changelog says what was written there, and by whom last.
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        self.workers = [self._start(ready=True)]
        await eventually(self._shown, "the table of the last worker", RECOVERY_SECONDS)
        return self.check()

    def handled(self) -> list[tuple[str, int, str]]:
        """Return key, number and verdict of each event that was handled, in the order they were."""
        if not self.file.exists():
            return []
        lines = [line.split() for line in self.file.read_text().splitlines()]
        return [(key, int(number), verdict) for _, key, number, verdict in lines]

    def _all_handled(self) -> bool:
        return {(key, number) for key, number, _ in self.handled()} >= {
            (key, number) for key, last in self.sent.items() for number in range(1, last + 1)
        }

    def _shown(self) -> bool:
        return set(self._table()) >= set(self.sent)

    def _table(self) -> dict[str, tuple[int, int]]:
        shown = Path(f"{self.file}.{self.workers[-1].pid}")
        if not shown.exists():
            return {}
        rows = [line.split() for line in shown.read_text().splitlines()]
        return {key: (int(last), int(counted)) for key, last, counted in rows}

    def check(self) -> Verdict:
        """Compare what was handled with what was sent."""
        verdict = Verdict()
        seen: dict[str, set[int]] = defaultdict(set)
        for key, number, told in self.handled():
            if number in seen[key]:
                verdict.redelivered += 1
            elif seen[key] and number < max(seen[key]):
                verdict.misordered.append(f"{key} {number}")
            seen[key].add(number)
            if told == "gap":
                verdict.gaps.append(f"{key} {number}")
        for key, last in self.sent.items():
            if lost := sorted(set(range(1, last + 1)) - seen[key]):
                verdict.lost[key] = lost
        table = self._table()
        for key, last in self.sent.items():
            if table.get(key) != (last, last):
                verdict.miscounted[key] = table.get(key, (0, 0))
        return verdict


async def trial(
    seed: int, seconds: float, folder: Path, *, workers: int = 3, pause: float = PAUSE
) -> Verdict:
    """Run a trial on a Redis of its own and print what came of it."""
    print(f"FAULTS_SEED={seed}", flush=True)
    # Each change is on disk before the server answers: what it confirmed survives its death.
    with RedisServer(folder / "redis", "appendonly yes", "appendfsync always") as redis:
        lab = Lab(redis.url, folder)
        try:
            verdict = await Trial(seed, redis, lab, workers, pause).run(seconds)
        finally:
            lab.close()
    print(verdict, flush=True)
    return verdict


def main() -> int:
    """Run for FAULTS_SECONDS with FAULTS_SEED."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    seconds = float(os.environ.get("FAULTS_SECONDS", "300"))
    with tempfile.TemporaryDirectory() as folder:
        verdict = asyncio.run(trial(seed, seconds, Path(folder)))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
