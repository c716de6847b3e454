"""Long reads of sessions: one at a time for each session, few for a process, shared by those who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

from faust_redis.redis import cancel_and_wait

T = TypeVar("T")

#: Reads of one process at the same time. Each may hold a whole session (SESSION_MAX_BYTES) a few times over,
#: in the output buffer of Redis as well.
AT_ONCE: Final = 8


class SharedReads:
    """Bounds what long reads can take of this process and of Redis, whoever asks for them how often.

    A read goes on when its caller is cancelled: those who come after would otherwise begin it again.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[tuple[str, Hashable], asyncio.Task[Any]] = {}
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, token: str, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a read that begins after this call.

        Args:
            token: of the session; its reads run one after the other.
            what: names the result; callers that ask for the same while a read waits for its turn share it.
            read: runs at most once for all of them.

        Raises:
            Exception: what the read raised, to each of those who share it.
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
                # From here on it may miss what happens after; who comes now waits for the next one.
                del self._waiting[token, what]
                return await read()
        finally:
            self._forget(token, what)

    async def aclose(self) -> None:
        """End the reads that still run; those who wait for them are cancelled too."""
        await cancel_and_wait(list(self._running))

    def _forget(self, token: str, what: Hashable) -> None:
        if self._waiting.get((token, what)) is asyncio.current_task():
            del self._waiting[token, what]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # those who asked may all be gone
