"""Joins of a stream with a table: each event with the value that the table has for its key at that moment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

import faust
from faust.types import AppT, EventT
from faust.types.joins import JoinT
from faust.types.streams import StreamT

from faust_redis.errors import CopartitionError, JoinError
from faust_redis.faust_hooks import apps
from faust_redis.joins.joined import JoinedStream
from faust_redis.joins.keys import JoinKeys, key_functions
from faust_redis.joins.partitions import Partitions
from faust_redis.joins.sides import JoinKind, Pair, Side, pair_of

__all__ = ["JoinableTable", "TableJoin", "install_tables", "join_with_table"]


class JoinableTable(faust.Table[Any, Any]):
    """Faust's table, which ``&`` combines with a stream."""

    def combine(self, *nodes: Any, **_: Any) -> StreamT[Any]:
        """Return a stream whose joins have the table as their left side.

        Raises:
            JoinError: There is not one stream.
        """
        others = [node for node in nodes if node is not self]
        if len(others) != 1 or not isinstance(others[0], faust.Stream):
            raise JoinError(self.name, "a table is combined with one stream: (table & stream).inner_join(…)")
        combined: StreamT[Any] = others[0].combine(self, table_side=Side.LEFT)
        return combined

    def _join(self, join_strategy: JoinT) -> StreamT[Any]:
        raise JoinError(self.name, "a table is joined with a stream: (table & stream).inner_join(…)")


def install_tables(app: AppT) -> None:
    """Make an app's tables combine with streams, unless the program has replaced Faust's."""
    if apps.table_class(app) is faust.Table:
        apps.set_table_class(app, JoinableTable)
    for table in app.tables.values():
        if type(table) is faust.Table:
            table.__class__ = JoinableTable


class TableJoin:
    """The join of a stream with a table."""

    def __init__(self, channel: Any, table: Any, side: Side, keeps: bool, keys: JoinKeys) -> None:
        """Take the stream's channel and its side, and whether events without a row make a result."""
        self._channel = channel
        self._table = table
        self._side = side
        self._keeps = keeps
        self._keys = keys

    async def pairs(self, event: EventT[Any], value: Any) -> AsyncGenerator[Pair, None]:
        """Yield the event's value with the table's.

        Raises:
            JoinError: The event is in another partition than its row of the table.
        """
        key = self._keys.plain(self._side, self._channel, event, value)
        # A table with a default has a value for every key; a join uses only keys that were set.
        found = key is not None and key in self._table
        if found or self._keeps:
            yield pair_of(self._side, value, self._table[key] if found else None)


def join_with_table(
    stream: Any, table: Any, table_side: Side, kind: JoinKind, fields: Sequence[Any], name: str | None
) -> JoinedStream:
    """Join a combined stream with its table.

    Raises:
        JoinError: A stream and a table can't be joined in this way.
    """
    side = table_side.other
    name = name or "-".join([*stream.channel.topics, table.name, "join"])
    if len(stream.channels) > 1:
        raise JoinError(name, "a table can be joined with one stream")
    if kind.keeps(table_side):
        raise JoinError(name, "a row without an event makes no result, as a change of a table is no event")
    partitions = Partitions(stream.app)
    models = [stream.channel.value_type] * 2
    keys = JoinKeys(stream.app, name, key_functions(name, fields, models), partitions.partition_for)
    join = TableJoin(stream.channel, table, side, kind.keeps(side), keys)
    return JoinedStream(stream, join, check=partial(_check, partitions, name, stream.channel, table))


async def _check(partitions: Partitions, name: str, channel: Any, table: Any) -> None:
    """Check that a stream's events are in the partitions of their rows.

    Raises:
        CopartitionError: Table and topic have different numbers of partitions.
    """
    if table.is_global:
        return
    counts = {topic: await partitions.count(topic) for topic in channel.topics}
    counts[table.name] = table.partitions or table.app.conf.topic_partitions
    if len(set(counts.values())) > 1:
        raise CopartitionError(name, counts)
