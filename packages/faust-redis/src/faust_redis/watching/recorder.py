"""Record the snapshots of a watch: one process at a time writes, the others wait for its lease."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from mode import get_logger
from redis.exceptions import ResponseError

from faust_redis.redis.commands import REDIS_ERRORS
from faust_redis.watching.recorded import INTERVAL, MomentTooLargeError, RecordedHistory
from faust_redis.watching.state import StageState

__all__ = ["Recorder", "weight_of"]

logger = get_logger(__name__)

#: Seconds without an attempt after Redis has refused one, because its user lacks a right or it is full.
REFUSED_PAUSE: Final = 60.0
#: Weights of a state, larger than any backlog that counts.
_STATE_WEIGHT: Final = 1_000_000

_URGENCY: Final = list(StageState)


def weight_of(states: Iterable[StageState], backlog: int) -> int:
    """Return the weight of a moment: its most urgent state decides, and then its backlog."""
    urgency = max((len(_URGENCY) - _URGENCY.index(state) for state in states), default=0)
    return urgency * _STATE_WEIGHT + min(backlog, _STATE_WEIGHT - 1)


class Recorder:
    """Records a moment when one is due, if this process holds the lease.

    Attributes:
        is_writer: Whether it held the lease at the last attempt.
    """

    def __init__(self, history: RecordedHistory) -> None:
        self.history = history
        self.is_writer = False
        self._due = float("-inf")

    def is_due(self) -> bool:
        """Return whether to offer the next moment."""
        return time.monotonic() >= self._due

    async def offer(self, contents: Iterable[bytes], weight: int) -> None:
        """Record the first of these contents that is small enough; Redis being away is no error.

        Args:
            contents: The same moment, each with less detail than the one before.
        """
        self._due = time.monotonic() + INTERVAL
        try:
            if not self.is_writer:
                self.is_writer = await self.history.claim()
            if self.is_writer:
                self.is_writer = await self._record(contents, weight)
        except REDIS_ERRORS as error:
            self.is_writer = False
            if isinstance(error, ResponseError):
                self._due = time.monotonic() + REFUSED_PAUSE
                logger.warning("Redis refuses to record the figures: %s", error)
            else:
                logger.debug("recording the figures failed: %r", error)

    async def _record(self, contents: Iterable[bytes], weight: int) -> bool:
        size = 0
        for content in contents:
            try:
                return await self.history.record(content, weight)
            except MomentTooLargeError as error:
                size = error.size
        logger.warning("a moment of %d bytes is too large to be recorded", size)
        return await self.history.claim()

    async def stop(self) -> None:
        """Let another process write at once."""
        if self.is_writer:
            self.is_writer = False
            try:
                await self.history.release()
            except REDIS_ERRORS as error:
                logger.debug("releasing the lease of the history failed: %r", error)
