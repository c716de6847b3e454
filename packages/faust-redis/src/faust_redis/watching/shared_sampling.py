"""Sample something repeatedly in one task, for all callers of a process."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Generic, TypeVar

from faust_redis.tasks import cancel_and_wait

__all__ = ["SharedSampling"]

_S = TypeVar("_S")


class SharedSampling(ABC, Generic[_S]):
    """The task that samples, and its callers; a subclass samples in ``_watch``."""

    def __init__(self, name: str, interval: float) -> None:
        """Take the name of the task and the seconds between its samples; nothing is sampled yet."""
        self._name = name
        self._interval = interval
        self._asked = self._sampled = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._seen: _S | Exception | None = None

    def start(self) -> None:
        """Start the task, which runs until :meth:`stop`."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name=self._name)

    async def stop(self) -> None:
        """Stop the task."""
        if self._task is not None:
            await cancel_and_wait([self._task])

    async def snapshot(self) -> _S:
        """Return the latest snapshot, at most about two intervals old; starts the task if necessary.

        Raises:
            redis.exceptions.RedisError, OSError: Redis was away at the last sample.
        """
        self._asked = time.monotonic()
        self.start()
        if self._seen is None or self._sampled < self._asked - 2 * self._interval:
            self._news.clear()
            self._wake.set()
            await self._news.wait()
        if isinstance(self._seen, Exception):
            raise self._seen
        assert self._seen is not None, "there are news"  # noqa: S101
        return self._seen

    @abstractmethod
    async def _watch(self) -> None:
        """Sample until cancelled, and publish each snapshot; clear ``_wake`` before each sample."""

    def _publish(self, seen: _S | Exception) -> None:
        """Give callers a snapshot, or an error to raise."""
        self._seen = seen
        self._sampled = time.monotonic()
        self._news.set()

    def _is_unused(self, linger: float) -> bool:
        """Return whether nobody has called for more than ``linger`` seconds."""
        return time.monotonic() - self._asked > linger

    async def _wait_for_caller(self, seconds: float) -> None:
        """Wait until a caller needs a new snapshot, ``seconds`` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
