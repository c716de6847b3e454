"""Workers of a real Faust program, each its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import faust
import pytest
import redis

from tests.support.waiting import wait_until

PROGRAM = "tests.transport.programs.counting"


@dataclass
class Worker:
    """A worker process.

    Attributes:
        log: What it printed so far, both streams.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self) -> None:
        wait_until(lambda: "Worker ready" in self.printed() or self.process.poll() is not None, "a worker")
        assert self.process.poll() is None, self.printed()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers of the counting program; they end with the test."""
    workers: list[Worker] = []

    def start(url: str, *, ready: bool = True, program: str = PROGRAM, **settings: str) -> Worker:
        log = tmp_path / f"worker-{len(workers)}.log"
        environment = {
            **os.environ,
            "TEST_REDIS_URL": url,
            **{f"TEST_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "faust", "--datadir", str(tmp_path / f"data-{len(workers)}"),
                 "-A", program, "worker", "-l", "info", "--without-web"],
                stdout=output, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        worker = Worker(process, log)
        workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture
def notes(redis_url: str) -> Iterator[redis.Redis]:
    """What the workers wrote down."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def send_numbers(url: str, count: int, *, first: int = 0, keys: int = 10) -> None:
    """Send ``count`` numbers as a program without a worker does, and wait until Redis has them."""
    app = faust.App("sender", broker=url, topic_partitions=4)
    topic = app.topic("numbers", key_type=str)
    await app.maybe_start_producer()
    for number in range(first, first + count):
        await topic.send(key=f"k{number % keys}", value=number)
    await app.producer.flush()
    await app.producer.stop()


def numbers_seen(notes: redis.Redis) -> list[int]:
    """Return the numbers that the agents worked on, in the order they did."""
    seen: list[str] = notes.lrange("seen", 0, -1)  # type: ignore[assignment]
    return [int(entry.split(":")[1]) for entry in seen]
