"""Keeps what Redis knows of this node's sessions in step with the sockets that are open here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from pipeline.chat.presence import Presence

log = structlog.get_logger(__name__)

# Seconds between tries while Redis is away.
_RETRY_SECONDS = 0.5


class PresenceWriter:
    """One task that writes all presences of a node.

    Two writers could reorder: a socket that leaves would take away the presence of one that has just come. So
    callers only name sessions whose state may have changed; the task looks at what is true when it writes.
    """

    def __init__(self, node: str, store: Presence, is_streaming: Callable[[str], bool | None]) -> None:
        """Take what tells of a session whether a socket here takes tokens; None when it has none here."""
        self._node = node
        self._store = store
        self._is_streaming = is_streaming
        self._dirty: dict[str, list[asyncio.Future[None]]] = {}
        self._held: set[str] = set()
        self._wake = asyncio.Event()

    def touch(self, token: str) -> None:
        """Have the presence of a session written anew."""
        self._dirty.setdefault(token, [])
        self._wake.set()

    async def written(self, token: str) -> None:
        """Have the presence of a session written anew, and wait until it is."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dirty.setdefault(token, []).append(done)
        self._wake.set()
        await done

    async def run(self) -> None:
        """Write until cancelled; what could not be written is tried again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._dirty = self._dirty, {}
            try:
                await self._write(batch)
            except Exception:
                log.exception("presences could not be written; trying again", sessions=len(batch))
                for token, waiting in batch.items():
                    self._dirty.setdefault(token, []).extend(waiting)
                await asyncio.sleep(_RETRY_SECONDS)
                self._wake.set()

    async def release_all(self) -> None:
        """Take every presence of the node away; for the end, when `run` does not run any more."""
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
