"""The course of a soak: workers on a Redis, a load, and one worker after another that gives its place up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

from faust_redis.testing import RedisServer, eventually
from tests.conformance.conftest import Lab
from tests.soak.journal import Journal
from tests.soak.load import Load
from tests.soak.samples import Sample, take_sample
from tests.worker import Worker

#: Seconds until a group has settled again and has caught up, on a busy machine.
RECOVERY_SECONDS = 90.0
SESSION_TIMEOUT = 5.0


class Soak:
    """Two workers: the first stays, the other's place is taken by one after another.

    Attributes:
        workers: Those that run.
        samples: What was counted so far.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.load = Load(lab.url)
        self.journal = Journal(lab.folder / "handled")
        self.workers: list[Worker] = []
        self.samples: list[Sample] = []
        self._left: list[Worker] = []

    def join(self) -> Worker:
        """Start another worker."""
        settings = {"file": self.lab.folder / "handled", "session_timeout": SESSION_TIMEOUT}
        worker = self.lab.start("soaked", ready=False, **settings)  # type: ignore[arg-type]
        self.workers.append(worker)
        return worker

    def leave(self, how: signal.Signals) -> None:
        """Stop or kill the youngest worker."""
        worker = self.workers.pop()
        if how == signal.SIGKILL:
            self.journal.killed.add(worker.pid)
        worker.signal(how)
        self._left.append(worker)

    async def settle(self) -> None:
        """Wait until all that was sent is handled and acked, and who left has ended.

        Raises:
            AssertionError: It was not, for too long.
        """
        await eventually(lambda: self.journal.read() == self.load.total, "all events", RECOVERY_SECONDS)
        await eventually(self._is_settled, "empty topics, and nobody's names", RECOVERY_SECONDS)

    def sample(self) -> Sample:
        """Count what there is now.

        Raises:
            AssertionError: A worker has ended by itself.
        """
        for worker in self.workers:
            assert worker.process.poll() is None, worker.printed()[-4000:]
        return take_sample(self.lab.redis, self.workers)

    @property
    def stopped(self) -> int:
        """How many workers left in peace."""
        return len(self._left) - len(self.journal.killed)

    def _is_settled(self) -> bool:
        now = self.sample()
        gone = all(worker.process.poll() is not None for worker in self._left)
        return gone and not (now.entries or now.pending or now.strangers)

    async def run(self, seconds: float, rate: float, interval: float, replace_every: float) -> None:
        """Send at a steady pace, replace a worker now and then, and sample.

        Args:
            interval: Seconds between samples.
            replace_every: Seconds between the ends of workers, every other one of which is killed.
        """
        sending = asyncio.create_task(self.load.keep_up(rate))
        try:
            await eventually(self.journal.read, "the first event", RECOVERY_SECONDS)
            begun = time.monotonic()
            print(f"{'second':>6} {'handled':>9} {Sample.heading()}", flush=True)
            while (elapsed := time.monotonic() - begun) < seconds and not sending.done():
                await asyncio.sleep(interval)  # the pace of the samples
                if elapsed > replace_every * (len(self._left) + 1):
                    self.leave(signal.SIGKILL if len(self._left) % 2 else signal.SIGTERM)
                    self.join()
                self.samples.append(self.sample())
                print(f"{elapsed:6.0f} {self.journal.read():>9} {self.samples[-1]}", flush=True)
        finally:
            # Not cancelled: whether the event under way was sent would be uncertain.
            self.load.enough = True
            await sending

    def faults(self) -> dict[str, list[str]]:
        """Return what went wrong with the events, by its kind."""
        found = {
            "lost": self.journal.lost(self.load.sent),
            "doubled": self.journal.doubled,
            "misordered": self.journal.misordered,
            "gaps in the table": self.journal.gaps,
        }
        return {kind: events for kind, events in found.items() if events}


@contextlib.asynccontextmanager
async def soaking(folder: Path) -> AsyncIterator[Soak]:
    """Set up Redis, the sender, and a first worker that has all partitions."""
    with RedisServer(folder / "redis") as redis:
        lab = Lab(redis.url, folder)
        try:
            soak = Soak(lab)
            await soak.load.start()
            worker = soak.join()
            await asyncio.to_thread(worker.wait_ready)
            yield soak
            await soak.load.stop()
        finally:
            lab.close()
