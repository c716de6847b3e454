"""The workers and senders of a turn."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from parley.loadtest.usage import cpu_seconds, process_tree

__all__ = ["Turn", "Worker", "wait_until"]

_ROOT = Path(__file__).parents[2]
#: Seconds for any condition of a turn.
TIMEOUT = 120.0


def wait_until(condition: Callable[[], Any], described: str, timeout: float = TIMEOUT) -> Any:
    """Return what the condition returns once that is truthy.

    Raises:
        SystemExit: The time, in seconds, is up.
    """
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {timeout:.0f} s for {described}")
        time.sleep(0.02)
    return found


class Worker:
    """One worker of ``bench.kafka.programs``.

    Attributes:
        started: the time at which its process was started, in seconds since the epoch.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path, report: Path) -> None:
        self.started = time.time()
        self.process = process
        self._log = log
        self._report = report

    def is_ready(self) -> bool:
        """Return whether it has its partitions and tables."""
        if self.process.poll() is not None:
            raise SystemExit(f"a worker ended:\n{self._log.read_text(errors='replace')[-4000:]}")
        return "Worker ready" in self._log.read_text(errors="replace")

    def report(self) -> Any:
        """Return its report; ``{}`` before the first one."""
        return json.loads(self._report.read_text("utf-8")) if self._report.exists() else {}

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used."""
        return sum(map(cpu_seconds, process_tree(self.process.pid)))

    def signal(self, number: signal.Signals) -> float:
        """Send a signal to it; return the time."""
        os.kill(self.process.pid, number)
        return time.time()

    def end(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Turn:
    """The processes of one turn; a context manager that ends them."""

    def __init__(self, broker: str, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self._workers: list[Worker] = []
        self._senders: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for worker in self._workers:
            worker.end()
        for sender in self._senders:
            sender.kill()
            sender.wait()

    def start(self, role: str) -> Worker:
        """Start a worker, with a folder of its own."""
        place = self._folder / f"{len(self._workers)}-{role}"
        place.mkdir()
        environment = {
            **os.environ,
            "BENCH_ROLE": role,
            "BENCH_BROKER": self._broker,
            "BENCH_REPORT": str(place / "report.json"),
            "BENCH_DATADIR": str(place / "data"),
        }
        command = [sys.executable, "-m", "faust", "-A", "bench.kafka.programs", "worker", "-l", "info"]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [*command, "--without-web"], cwd=_ROOT, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        worker = Worker(process, place / "log", place / "report.json")
        self._workers.append(worker)
        return worker

    def feed(self, topic: str, count: int, first: int = 0, pause: float = 0.0) -> float:
        """Start to send messages, see ``bench.kafka.feed``; return the time of the first one."""
        arguments = [self._broker, topic, str(count), str(first), str(pause)]
        sender = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "bench.kafka.feed", *arguments], cwd=_ROOT, stdout=subprocess.PIPE
        )
        self._senders.append(sender)
        assert sender.stdout is not None  # noqa: S101
        return float(sender.stdout.readline())
