"""Undo the changes that dropped events have made in tables.

A key is read again from its changelog, which holds the committed value, unless an event that is not dropped
has changed it before: then it gets that event's value, which is still to be committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from faust.types import TP, AppT, ConsumerMessage, Message
from mode import get_logger

from faust_redis.consuming.delivery import message_of
from faust_redis.consuming.offsets import Persist
from faust_redis.context import TransportContext
from faust_redis.faust_hooks import tables
from faust_redis.log.entries import Record, decode_all
from faust_redis.log.transactions import TableKey, Transactions
from faust_redis.redis.commands import Command

__all__ = ["TableRollback"]

logger = get_logger(__name__)


class TableRollback:
    """Restores the dirty keys of one worker's tables.

    Attributes:
        lock: Held while keys are restored. A concurrent commit could be lost from the tables, so
            a commit holds the lock, too.
    """

    def __init__(
        self,
        app: AppT,
        context: TransportContext,
        transactions: Transactions,
        *,
        deliver_again: Callable[[Iterable[Message]], None],
        persist: Persist,
    ) -> None:
        """Take what the consumer consists of.

        Args:
            deliver_again: Has entries delivered again whose messages have built on a dirty key.
        """
        self._app = app
        self._context = context
        self._transactions = transactions
        self._deliver_again = deliver_again
        self._persist = persist
        self._restoring: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        transactions.on_dirty = self._restore_soon

    @property
    def is_restoring(self) -> bool:
        """Whether tables hold changes of events that were dropped."""
        return bool(self._transactions.dirty)

    def _restore_soon(self) -> None:
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.create_task(self._restore())
            self._restoring.add_done_callback(_log_error)

    async def restored(self) -> None:
        """Wait until tables hold no changes of dropped events, or the worker stops."""
        while self._restoring is not None and not self._restoring.done() and not self._app.should_stop:
            await asyncio.wait([self._restoring], timeout=0.5)

    async def _restore(self) -> None:
        while self._transactions.dirty and not self._app.should_stop:
            async with self.lock:
                keys = list(self._transactions.dirty)
                records = await self._persist(lambda keys=keys: self._read(keys))  # type: ignore[misc]
                for key, record in zip(keys, records, strict=True):
                    late, output = self._transactions.clean(key)
                    self._deliver_again(late)
                    if output is not None:
                        ((record, *_), _) = decode_all([(b"0-1", output.fields)])
                    event = await self._event_of(key, record)
                    tables.restore_key(self._table(key[0]), event, key[0].partition)

    async def _read(self, keys: list[TableKey]) -> list[Record | None]:
        """Return the last committed entry of each key; ``None`` for one that has none."""
        run = self._context.server.stream.execute_many
        names = self._context.keys
        ids = _raised(await run([("HGET", names.index(tp), key) for tp, key in keys]))
        calls: list[Command] = [
            ("XRANGE", names.stream(tp), entry_id or "-", entry_id or "(0-1", "COUNT", 1)
            for (tp, _), entry_id in zip(keys, ids, strict=True)
        ]
        records: list[Record | None] = []
        for entry_id, entries in zip(ids, _raised(await run(calls)), strict=True):
            found = decode_all(entries)[0] if entry_id else []
            records.append(found[0] if found else None)
        return records

    async def _event_of(self, key: TableKey, record: Record | None) -> Any:
        tp, raw = key
        message: ConsumerMessage = message_of(tp, record or Record(0, raw, None, [], 0), 0)
        return await self._table(tp).changelog_topic.decode(message)

    def _table(self, tp: TP) -> Any:
        return tables.tables_by_changelog(self._app.tables)[tp.topic]


def _raised(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("restoring tables failed: %r", error, exc_info=error)
