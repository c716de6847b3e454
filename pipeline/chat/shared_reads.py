"""Run long reads of sessions: one at a time per session, few per process, shared by concurrent callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

from faust_redis.redis import cancel_and_wait

T = TypeVar("T")

#: Concurrent reads of one process. Each may hold several copies of a session (SESSION_MAX_BYTES) here and in
#: the output buffer of Redis.
AT_ONCE: Final = 8


class SharedReads:
    """Bound the memory that long reads take in this process and in Redis, whatever clients request.

    A read continues when its caller is cancelled, because later callers would otherwise start it again.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[tuple[str, Hashable], asyncio.Task[Any]] = {}
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, token: str, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a read that begins after this call.

        Args:
            token: the session's token; reads of one session run one after the other.
            what: the key of the result; callers with an equal key share a read that has not begun.
            read: called at most once for all of these callers.

        Raises:
            Exception: the error of the read, raised in each caller that shares it.
        """
        waiting = self._waiting.get((token, what))
        if waiting is None:
            waiting = asyncio.create_task(self._in_turn(token, what, read), name="session read")
            self._waiting[token, what] = waiting
            self._running.add(waiting)
            waiting.add_done_callback(self._ended)
        return cast(T, await asyncio.shield(waiting))

    async def _in_turn(self, token: str, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        turn = self._turns.get(token)
        if turn is None:
            turn = self._turns[token] = asyncio.Lock()
        try:
            async with turn, self._slots:
                # A read that has begun may miss later changes, so new callers wait for the next read.
                del self._waiting[token, what]
                return await read()
        finally:
            self._forget(token, what)

    async def aclose(self) -> None:
        """Cancel the reads that still run, and with them their callers."""
        await cancel_and_wait(list(self._running))

    def _forget(self, token: str, what: Hashable) -> None:
        if self._waiting.get((token, what)) is asyncio.current_task():
            del self._waiting[token, what]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here because every caller may have been cancelled
