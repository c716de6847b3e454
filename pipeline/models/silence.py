"""Limit the silence of a model server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from pipeline.deadlines import DeadlineExceeded, DeadlineTimer
from pipeline.models.failures import too_slow

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """The limits of a server's silence.

    Attributes:
        first: seconds before the first sign of an answer; for a server that does not stream, before the
            complete answer.
        between: seconds between two signs of a stream. Once the answer has begun, any byte is a sign.
    """

    first: float
    between: float


class SilenceTimer:
    """Limit the waits for the server; time between waits does not count, because the server may have sent.

    Call ``close`` after the last wait.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._begun = False
        self._left = patience.first
        self._lingering = False
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._timer = DeadlineTimer(loop)

    def restart(self) -> None:
        """Restart the timer, because the model has generated something."""
        self._begun = True
        self._lingering = False
        self._left = self._patience.between

    def hear(self) -> None:
        """Restart the timer if the answer has begun, because the server has sent any bytes."""
        if self._begun and not self._lingering:
            self._left = self._patience.between

    def linger(self, seconds: float) -> None:
        """Limit further waits to this many seconds in all, because the answer seems to be complete."""
        if not self._lingering:
            self._lingering = True
            self._left = min(self._left, seconds)

    async def bounded(self, step: Awaitable[T]) -> T:
        """Wait for ``step`` within the limits.

        Raises:
            ModelError: the server was silent for too long.
        """
        since = self._clock()
        try:
            return await self._timer.wait(step, since + self._left)
        except DeadlineExceeded as exc:
            raise too_slow(self._complaint()) from exc
        finally:
            self._left -= self._clock() - since

    def close(self) -> None:
        """Stop the timer."""
        self._timer.close()

    def _complaint(self) -> str:
        if self._begun:
            return f"The model fell silent for {self._patience.between:g} s in the middle of its answer"
        return f"The model gave no answer within {self._patience.first:g} s"
