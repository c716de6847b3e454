"""Track a worker's progress in the partitions of a side: whether a partner may still come."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from faust.types import TP

__all__ = ["Done", "Progress"]


class Done(NamedTuple):
    """The state of a partition in Redis, for one consumer group.

    Attributes:
        last: The offset of the latest entry, 0 before the first one.
        oldest: The offset of the first entry that is not acked, 0 if there is none.
    """

    last: int
    oldest: int

    def includes(self, offset: int) -> bool:
        """Return whether an entry and all before it are acked."""
        return not self.oldest or self.oldest > offset


@dataclass
class _Mark:
    """A moment, and the entry that was the latest one then."""

    time: float
    last: int


class Progress:
    """Moments up to which every entry of a partition is done.

    An entry that waits for its next attempt is not done, so its pair is not lost.
    """

    def __init__(self, look: Callable[[Iterable[TP]], Awaitable[Mapping[TP, Done]]]) -> None:
        """Take a function that returns the state of partitions."""
        self._look = look
        self._marks: dict[TP, _Mark] = {}
        self._passed: dict[TP, float] = {}
        self.done: Mapping[TP, Done] = {}

    async def update(self, tps: Iterable[TP]) -> None:
        """Sample these partitions.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        now = time.time()  # before the sample, which does not include later entries
        self.done = await self._look(tps)
        for tp, done in self.done.items():
            mark = self._marks.setdefault(tp, _Mark(now, done.last))
            if done.includes(done.last):
                self._passed[tp] = now
                del self._marks[tp]
            elif done.includes(mark.last):
                self._passed[tp] = mark.time
                self._marks[tp] = _Mark(now, done.last)

    def passed(self, tps: Iterable[TP]) -> float:
        """Return the moment up to which all entries of these partitions are done (seconds; 0 if unknown)."""
        return min((self._passed.get(tp, 0.0) for tp in tps), default=0.0)

    def is_done(self, tp: TP, offset: int) -> bool:
        """Return whether an entry was done when its partition was last looked at."""
        done = self.done.get(tp)
        return done is not None and done.includes(offset)

    def forget(self) -> None:
        """Forget everything: partitions have new owners."""
        self._marks.clear()
        self._passed.clear()
        self.done = {}
