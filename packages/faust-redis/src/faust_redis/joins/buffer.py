"""The buffer of a join: a table with a changelog, and an index of its rows in memory.

The table is in memory for any ``store`` of the app: a row lives for as long as its window, and a store on
disk could bring rows back whose removal its changelog no longer holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from itertools import takewhile
from typing import Any, Final

import faust
from faust.types import AppT

from faust_redis.joins.rows import Row, RowId, decode_row, encode_row, row_id, row_key
from faust_redis.joins.sides import Side

__all__ = ["BufferTable", "JoinBuffer", "PartitionRows"]

#: Seconds for which the changelog keeps the tombstone of a removed row. A reader that was away for longer
#: reads it from the beginning, so less does no harm but to one that falls behind; more is memory of Redis.
TOMBSTONES_KEPT: Final = 3600


class BufferTable(faust.Table[bytes, bytes]):
    """The table of a join's buffer; it has as many partitions as the topics that fill it.

    Attributes:
        follows_sources: Excludes its number of partitions from the default of other topics.
        resolve_partitions: Returns that number once the topics are declared.
        on_key_restored: Called with a key whose changes were taken back (exactly once).
    """

    follows_sources: Final = True
    resolve_partitions: Callable[[], Any]
    on_key_restored: Callable[[bytes], None]

    async def on_start(self) -> None:
        """Look up the number of partitions, then start like any table.

        Raises:
            CopartitionError: The topics differ in it.
        """
        self.partitions = self.changelog_topic.partitions = await self.resolve_partitions()
        await super().on_start()


class PartitionRows:
    """The rows of one partition, in the order in which they were buffered."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._by_id: dict[RowId, Row] = {}
        self._by_key: defaultdict[tuple[Side, bytes], dict[RowId, Row]] = defaultdict(dict)
        self._by_arrival: dict[Side, dict[RowId, Row]] = {side: {} for side in Side}
        self._by_time: dict[Side, list[tuple[float, int, RowId]]] = {side: [] for side in Side}
        self._last = 0
        for row in sorted(rows, key=lambda row: row.number):
            self.add(row)

    def __len__(self) -> int:
        return len(self._by_id)

    def next_number(self) -> int:
        """Return the number of the next row."""
        return self._last + 1

    def get(self, row: RowId) -> Row | None:
        """Return the row of an entry, ``None`` if it is not buffered."""
        return self._by_id.get(row)

    def add(self, row: Row) -> None:
        """Add a row, or replace the one of the same entry."""
        self._last = max(self._last, row.number)
        if row.id not in self._by_id:
            heappush(self._by_time[row.side], (row.timestamp, row.number, row.id))
        self._by_id[row.id] = row
        self._by_key[row.side, row.key][row.id] = row
        self._by_arrival[row.side][row.id] = row

    def remove(self, row: Row) -> None:
        """Remove a row."""
        self._by_id.pop(row.id, None)
        self._by_arrival[row.side].pop(row.id, None)
        same = self._by_key.get((row.side, row.key), {})
        same.pop(row.id, None)
        if not same:
            self._by_key.pop((row.side, row.key), None)

    def partners(self, row: Row) -> list[Row]:
        """Return the rows of the other side with a row's key that were buffered before it, and after its
        ``made``."""
        found = self._by_key.get((row.side.other, row.key), {})
        chosen = [other for other in found.values() if row.made < other.number < row.number]
        return sorted(chosen, key=lambda other: other.number)

    def arrived_before(self, side: Side, moment: float) -> list[Row]:
        """Return the rows of a side that were buffered at a moment (seconds), or before it."""
        return list(takewhile(lambda row: row.arrived <= moment, self._by_arrival[side].values()))

    def older_than(self, side: Side, timestamp: float) -> list[Row]:
        """Return the rows of a side whose event is older than a timestamp (seconds), the oldest first.

        A row is returned until it is removed: whoever asks may not be able to remove it yet.
        """
        found, kept = [], []
        times = self._by_time[side]
        while times and times[0][0] < timestamp:
            entry = heappop(times)
            row = self._by_id.get(entry[2])
            if row is not None:
                found.append(row)
                kept.append(entry)
        for entry in kept:
            heappush(times, entry)
        return found


class JoinBuffer:
    """The rows of the partitions that this worker owns.

    Attributes:
        partitions: The rows by the number of their partition; rebuilt after each rebalance.
    """

    def __init__(self, app: AppT, name: str, resolve_partitions: Callable[[], Any]) -> None:
        """Make the table of a join.

        Raises:
            RuntimeError: Tables can't be made any more, the worker has started.
            ValueError: There is a table of this name.
        """
        self._app = app
        table = BufferTable(
            app,
            name=name,
            key_type=bytes,
            value_type=bytes,
            store="memory://",
            extra_topic_configs={"delete.retention.ms": TOMBSTONES_KEPT * 1000},
            on_recover=self.recover,
            beacon=app.tables.beacon,
            help="the buffer of a join",
        )
        table.resolve_partitions = resolve_partitions
        table.on_key_restored = self._restore
        self.table: Any = app.tables.add(table)
        self.partitions: defaultdict[int, PartitionRows] = defaultdict(PartitionRows)

    def put(self, row: Row) -> None:
        """Write a row, as part of the event at work."""
        self.partitions[row.id.partition].add(row)
        self.table[row_key(row.id)] = encode_row(row)

    def holds(self, row: Row) -> bool:
        """Return whether a row is still in the buffer."""
        return self.partitions[row.id.partition].get(row.id) is row

    def remove(self, row: Row) -> None:
        """Remove a row, as part of the event at work."""
        if self.holds(row):
            self.partitions[row.id.partition].remove(row)
            self.table.pop(row_key(row.id), None)

    def expire(self, row: Row) -> None:
        """Remove a row outside of any event."""
        key = row_key(row.id)
        self.partitions[row.id.partition].remove(row)
        if self.table.data.pop(key, None) is not None:
            self.table.send_changelog(row.id.partition, key, None, value_serializer="raw")

    def _restore(self, key: bytes) -> None:
        """Index a row as the table holds it, after the changes of a failed event were taken back."""
        wanted = row_id(key)
        rows, data = self.partitions[wanted.partition], self.table.data.get(key)
        row = rows.get(wanted)
        if data is not None:
            rows.add(decode_row(key, data))
        elif row is not None:
            rows.remove(row)

    def owned(self) -> set[int]:
        """Return the partitions that this worker owns."""
        topic = self.table.changelog_topic_name
        return {tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == topic}

    async def recover(self) -> None:
        """Index the rows that the table has recovered, and forget those of partitions owned elsewhere.

        Faust calls it after each rebalance, before events flow again.
        """
        stored: Mapping[bytes, bytes] = dict(self.table.data.items())
        owned = self.owned()
        rows: defaultdict[int, list[Row]] = defaultdict(list)
        for key, data in stored.items():
            row = decode_row(key, data)
            if row.id.partition in owned:
                rows[row.id.partition].append(row)
            else:
                # A partition that comes back is read from its changelog again, from the beginning.
                self.table.data.pop(key, None)
        self.partitions.clear()
        self.partitions.update({number: PartitionRows(found) for number, found in rows.items()})
