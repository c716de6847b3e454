"""Keep the presences in Redis in step with the open sockets of this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from pipeline.chat.presence import Presence

log = structlog.get_logger(__name__)

# Seconds between tries while Redis is unavailable.
_RETRY_SECONDS = 0.5


class PresenceWriter:
    """Write all presences of a node in one task.

    Two concurrent writers could reorder: a leaving socket would remove the presence of one that has just
    joined. Callers therefore only name sessions whose state may have changed, and the task reads the state
    when it writes.
    """

    def __init__(self, node: str, store: Presence, is_streaming: Callable[[str], bool | None]) -> None:
        """Store the arguments; ``is_streaming`` returns whether a socket takes tokens, None without one."""
        self._node = node
        self._store = store
        self._is_streaming = is_streaming
        self._dirty: dict[str, list[asyncio.Future[None]]] = {}
        self._held: set[str] = set()
        self._wake = asyncio.Event()

    def touch(self, token: str) -> None:
        """Schedule a write of a session's presence."""
        self._dirty.setdefault(token, [])
        self._wake.set()

    async def written(self, token: str) -> None:
        """Schedule a write of a session's presence, and wait for it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dirty.setdefault(token, []).append(done)
        self._wake.set()
        await done

    async def run(self) -> None:
        """Write until cancelled; failed writes are repeated."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._dirty = self._dirty, {}
            try:
                await self._write(batch)
            except Exception:
                log.exception("writing presences failed; trying again", sessions=len(batch))
                for token, waiting in batch.items():
                    self._dirty.setdefault(token, []).extend(waiting)
                await asyncio.sleep(_RETRY_SECONDS)
                self._wake.set()

    async def release_all(self) -> None:
        """Remove every presence of the node; call this after ``run`` has ended."""
        held, self._held = self._held, set()
        if held:
            await self._store.release(self._node, held)

    async def _write(self, batch: dict[str, list[asyncio.Future[None]]]) -> None:
        kinds = {token: self._is_streaming(token) for token in batch}
        here = {token: streaming for token, streaming in kinds.items() if streaming is not None}
        if here:
            self._held |= here.keys()
            await self._store.hold(self._node, here)
        if gone := batch.keys() - here.keys():
            await self._store.release(self._node, gone)
            self._held -= gone
        for waiting in batch.values():
            for done in waiting:
                if not done.done():
                    done.set_result(None)
