"""Sample the resources that the processes of a test use while it runs."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from parley.loadtest.usage import ProcessUsage, machine_seconds, usage_here

# Seconds between samples. A sample reads some forty files of /proc, which takes a millisecond or two.
_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class UsageSample:
    """One sample of the usage.

    Attributes:
        at: the time on the monotonic clock.
        used: the usage since each process started, by kind of process.
        machine: seconds of processor time that all processes of this machine have used.
    """

    at: float
    used: Mapping[str, ProcessUsage]
    machine: float


@dataclass(frozen=True)
class Spell:
    """The resources used between two samples.

    Attributes:
        at: its end, in seconds since the load began.
        seconds: its length.
        used: the usage by kind of process, with the memory at its end.
        machine: seconds of processor time of all processes of this machine.
    """

    at: float
    seconds: float
    used: Mapping[str, ProcessUsage]
    machine: float

    def cores(self, kind: str) -> float:
        """Return how many cores processes of one kind kept busy."""
        return self.used[kind].cpu / self.seconds if kind in self.used and self.seconds else 0.0


class UsageSamples:
    """Samples the usage of processes for as long as the context lasts."""

    def __init__(self, usage: Callable[[], Mapping[str, ProcessUsage]]) -> None:
        """Take a function that returns the usage of the service; the generator's is always sampled."""
        self._usage = usage
        self._taken: list[UsageSample] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Take the first sample, and start sampling."""
        self._sample()
        self._task = asyncio.create_task(self._sample_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling, and take the last sample."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._sample()

    def spells(self, began: float, ended: float) -> list[Spell]:
        """Return the usage from the last sample before a test began to the first after it ended."""
        return spells(self._taken, began, ended)

    def _sample(self) -> None:
        self._taken.append(
            UsageSample(time.monotonic(), {**self._usage(), **usage_here()}, machine_seconds())
        )

    async def _sample_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            self._sample()


def spells(samples: Sequence[UsageSample], began: float, ended: float) -> list[Spell]:
    """Return the usage between samples, from the last before ``began`` to the first after ``ended``."""
    times = [sample.at for sample in samples]
    first, last = max(0, bisect_right(times, began) - 1), min(len(samples) - 1, bisect_left(times, ended))
    return [_between(samples[at], samples[at + 1], began) for at in range(first, last)]


def together(all_spells: Sequence[Spell]) -> Spell:
    """Return the usage over all spells."""
    used: dict[str, ProcessUsage] = {}
    for spell in all_spells:
        for kind, each in spell.used.items():
            # Count processes that have ended meanwhile, too.
            earlier = used.get(kind, ProcessUsage(0, 0.0, 0))
            used[kind] = replace(
                each, processes=max(each.processes, earlier.processes), cpu=each.cpu + earlier.cpu
            )
    seconds, machine = (sum(getattr(each, name) for each in all_spells) for name in ("seconds", "machine"))
    return Spell(all_spells[-1].at if all_spells else 0.0, seconds, used, machine)


def _between(before: UsageSample, after: UsageSample, began: float) -> Spell:
    # A process that was replaced meanwhile has used less than the one before it.
    used = {
        kind: replace(each, cpu=max(0.0, each.since(before.used.get(kind)).cpu))
        for kind, each in after.used.items()
    }
    return Spell(after.at - began, after.at - before.at, used, max(0.0, after.machine - before.machine))
