"""Close and clean the windows of recovered tables like all other windows.

Faust notes when a window ends while an agent changes it, and only then. It cleans no recovered window, and
after a partition has moved, the former owner continues to close its windows. Faust also writes no tombstone
for a window that it cleans, so the next recovery would restore the window and close it once more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from faust.types import AppT

from faust_redis.faust_hooks import tables

__all__ = ["Windows"]


class Windows:
    """The windowed tables of an app."""

    def __init__(self, app: AppT) -> None:
        self._app = app
        self._watched: set[int] = set()

    def watch(self, watched: Iterable[Any]) -> None:
        """Watch the windowed ones among these tables; repeated calls for a table have no effect."""
        for table in watched:
            if tables.has_closing_windows(table) and id(table) not in self._watched:
                self._watched.add(id(table))
                table.on_recover(partial(self._restore, table))
                tables.set_cleaning(table, partial(self._clean, table, tables.cleaning_of(table)))

    def _owned(self, table: Any) -> set[int]:
        topic = table.changelog_topic_name
        return {tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == topic}

    async def _restore(self, table: Any) -> None:
        """Note the ends of all windows that this worker owns, and forget those of the others."""
        owned = None if table.is_global else self._owned(table)
        windows = {**tables.noted_windows(table), **tables.stored_windows(table)}
        tables.note_windows(
            table, {key: at for key, at in windows.items() if owned is None or at in owned}, owned
        )

    async def _clean(self, table: Any, clean: Any) -> None:
        """Close and remove windows as Faust does, and remove them from the changelog as well."""
        now = time.time()
        closing: Mapping[Any, int] = {
            key: at for key, at in tables.noted_windows(table).items() if table.window.stale(key[1][1], now)
        }
        await clean()
        owned = self._owned(table)
        left = tables.noted_windows(table)
        for key, at in closing.items():
            if at in owned and key not in left:
                table.send_changelog(at, key, None, value_serializer="raw")
