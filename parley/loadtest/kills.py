"""Kill processes of the service under test, to measure it while they are replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Kills:
    """What is killed, and how often.

    Attributes:
        kind: the kind of process, such as ``infer``.
        every: seconds between two kills, and before the first.
    """

    kind: str
    every: float


@asynccontextmanager
async def killing(kills: Kills | None, processes: Callable[[str], Sequence[int]]) -> AsyncIterator[list[int]]:
    """Kill one process after the other, without a warning (SIGKILL), until the block ends.

    Args:
        kills: None to kill nothing.
        processes: returns the process ids of a kind.

    Yields:
        The process ids killed so far; it grows meanwhile.
    """
    killed: list[int] = []
    if kills is None:
        yield killed
        return
    task = asyncio.create_task(_kill_regularly(kills, processes, killed))
    try:
        yield killed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _kill_regularly(kills: Kills, processes: Callable[[str], Sequence[int]], killed: list[int]) -> None:
    while True:
        await asyncio.sleep(kills.every)
        for pid in processes(kills.kind)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
