"""A worker of a Faust program, which is a process of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faust_redis.testing import wait_until
from tests.forking import ForkedProcess


@dataclass
class Worker:
    """A worker process.

    Attributes:
        log: What it printed so far, both streams.
    """

    process: ForkedProcess | subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self) -> None:
        def is_over() -> bool:
            return "Worker ready" in self.printed() or self.process.poll() is not None

        wait_until(is_over, "a worker", 90)
        assert self.process.poll() is None, self.printed()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


StartWorker = Callable[..., Worker]
