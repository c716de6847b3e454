"""Sample the resources that the processes of a test use while it runs."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from parley.loadtest.usage import Usage, machine_seconds, usage_here

# Seconds between looks. One reads some forty files of /proc, a millisecond or two.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class UsageSample:
    """One look.

    Attributes:
        at: on the monotonic clock.
        used: since each process started, by what they are.
        machine: seconds of processor time that everything on this machine has used.
    """

    at: float
    used: Mapping[str, Usage]
    machine: float


@dataclass(frozen=True)
class Spell:
    """The resources used between two samples.

    Attributes:
        at: seconds since the load began, of its end.
        seconds: how long it was.
        used: in it, by what they are; memory is that of its end.
        machine: seconds of processor time of everything on this machine.
    """

    at: float
    seconds: float
    used: Mapping[str, Usage]
    machine: float

    def cores(self, kind: str) -> float:
        """Return how many cores processes of one kind kept busy."""
        return self.used[kind].cpu / self.seconds if kind in self.used and self.seconds else 0.0


class UsageSamples:
    """UsageSamples at processes from when the context is entered until it ends."""

    def __init__(self, usage: Callable[[], Mapping[str, Usage]]) -> None:
        """Take what tells of the service; the generator and the machine are looked at in any case."""
        self._usage = usage
        self._taken: list[UsageSample] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._look()
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """UsageSample once more, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._look()

    def spells(self, began: float, ended: float) -> list[Spell]:
        """Return what was used from the last look before a test began to the first after it ended."""
        return spells(self._taken, began, ended)

    def _look(self) -> None:
        self._taken.append(
            UsageSample(time.monotonic(), {**self._usage(), **usage_here()}, machine_seconds())
        )

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._look()


def spells(looks: Sequence[UsageSample], began: float, ended: float) -> list[Spell]:
    """Return the use between samples, from the last before ``began`` to the first after ``ended``."""
    times = [look.at for look in looks]
    first, last = max(0, bisect_right(times, began) - 1), min(len(looks) - 1, bisect_left(times, ended))
    return [_between(looks[at], looks[at + 1], began) for at in range(first, last)]


def together(all_spells: Sequence[Spell]) -> Spell:
    """Return what was used in all of them."""
    used: dict[str, Usage] = {}
    for spell in all_spells:
        for kind, each in spell.used.items():
            # Processes that have ended by now were there all the same.
            earlier = used.get(kind, Usage(0, 0.0, 0))
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
