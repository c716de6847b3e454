"""Faults of a running service, caused on purpose; the service has to recover."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from faust_redis.testing import eventually
from parley.local.embedded import EmbeddedRedis
from pipeline.settings import STAGES
from tests.support.service import Up

PARTS = (*STAGES, "web")
# Seconds that a part which was killed may take to be started again.
BACK_SECONDS = 30.0


class FaultyRedis(EmbeddedRedis):
    """A server with the settings that it is shipped with, which can be killed and frozen."""

    def spawn(self) -> None:
        """Start the process on the port it had before."""
        super().spawn()
        self.wait_ready()

    def send(self, sig: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self.process is not None
        self.process.send_signal(sig)

    async def down(self, sig: signal.Signals, seconds: float) -> None:
        """End the process by a signal, and start it again on its port after some seconds."""
        self.send(sig)
        assert self.process is not None
        await asyncio.to_thread(self.process.wait)
        await asyncio.sleep(seconds)  # the length of the outage, not a wait for something
        # Not in a thread: Linux may end the server together with the thread that started it.
        self.spawn()

    async def frozen(self, seconds: float) -> None:
        """Freeze the process for some seconds: connections stay open, nothing answers."""
        self.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)  # the length of the outage, not a wait for something
        finally:
            self.send(signal.SIGCONT)


async def kill(up: Up, part: str) -> None:
    """Kill -9 one process of a part, and wait until `parley up` has started another."""
    before = _processes(up, part)
    os.kill(before[0], signal.SIGKILL)

    def replaced() -> bool:
        now = _processes(up, part)
        return before[0] not in now and len(now) == len(before)

    await eventually(replaced, f"another process of {part}", BACK_SECONDS)


@asynccontextmanager
async def another_agent(
    up: Up, stage: str, log: Path, end: signal.Signals = signal.SIGKILL
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a second process of a stage; ready when the block begins, ended when the block ends.

    Args:
        end: the signal that ends it.
    """
    process = up.start_agent(stage, log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")
        return "Worker ready" in log.read_text(errors="replace")

    try:
        await eventually(ready, f"a second {stage}", BACK_SECONDS)
        yield process
    finally:
        process.send_signal(end)
        await asyncio.to_thread(process.wait)


def _processes(up: Up, part: str) -> list[int]:
    """Return the processes of a part, the one that started first at the front."""
    if part == "web":
        return up.webs()
    return up.agents(part)
