"""Private parts of Faust's tables, their stores, and the assignor that shares their partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

from faust.stores.memory import Store as MemoryStore
from faust.stores.rocksdb import Store as RocksDBStore
from faust.tables.objects import ChangeloggedObjectManager
from faust.types import TP

__all__ = [
    "assign_global_tables",
    "cleaning_of",
    "compress",
    "decompress",
    "fed_by_events",
    "forget_memory_keys",
    "forget_rocksdb_partition",
    "has_closing_windows",
    "is_of_objects",
    "note_windows",
    "noted_windows",
    "pending_persisted_offsets",
    "restore_key",
    "set_cleaning",
    "stored_windows",
    "table_manager_of",
    "tables_by_changelog",
    "time_kept",
]


def tables_by_changelog(tables: Any) -> Mapping[str, Any]:
    """Return the tables of an app by the names of their changelogs."""
    found: Mapping[str, Any] = tables._changelogs
    return found


def pending_persisted_offsets(tables: Any) -> MutableMapping[TP, int]:
    """Return the offsets that tables will record with the next commit."""
    offsets: MutableMapping[TP, int] = tables._pending_persisted_offsets
    return offsets


def forget_memory_keys(store: Any) -> None:
    """Make a memory store forget which partition its keys belong to."""
    store._key_partition.clear()


def forget_rocksdb_partition(store: Any, partition: int) -> None:
    """Close the database of a partition of a RocksDB store, and forget where keys are."""
    store._dbs.pop(partition, None)
    store._key_index.clear()


def is_of_objects(table: Any) -> bool:
    """Return whether a table holds sets or other objects, whose changelog has operations, not values."""
    return isinstance(table.data, ChangeloggedObjectManager)


def restore_key(table: Any, event: Any, partition: int) -> None:
    """Set a key of a table, without a change in its changelog, to the value of an event from there."""
    table.apply_changelog_batch([event])
    if event.message.value is None and table.window:
        table._maybe_del_key_ttl(table._to_key(event.key), partition)
    restored = getattr(table, "on_key_restored", None)
    if restored is not None:
        restored(event.key)


def table_manager_of(assignor: Any) -> Any:
    """Return the tables that an assignor knows."""
    return assignor._table_manager


def assign_global_tables(assignor: Any, assignments: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """Add all partitions of global tables to each assignment."""
    assignor._global_table_standby_assignments(assignments, counts)


def compress(assignor: Any, data: bytes) -> bytes:
    """Return metadata as members exchange it."""
    compressed: bytes = assignor._compress(data)
    return compressed


def decompress(assignor: Any, data: bytes) -> bytes:
    """Return metadata that another member has sent."""
    plain: bytes = assignor._decompress(data)
    return plain


def has_closing_windows(table: Any) -> bool:
    """Return whether a table has windows that expire, and a store that holds them by their keys."""
    return bool(table.window and table.window.expires) and not isinstance(
        table.data, ChangeloggedObjectManager
    )


def cleaning_of(table: Any) -> Callable[[], Awaitable[None]]:
    """Return the function by which a table closes and removes its old windows."""
    clean: Callable[[], Awaitable[None]] = table._del_old_keys
    return clean


def set_cleaning(table: Any, clean: Callable[[], Awaitable[None]]) -> None:
    """Replace the function by which a table closes and removes its old windows."""
    table._del_old_keys = clean


def noted_windows(table: Any) -> dict[Any, int]:
    """Return the windows whose ends a table has noted, with their partitions."""
    noted = table._partition_timestamp_keys.items()
    return {key: partition for (partition, _), keys in noted for key in keys}


def stored_windows(table: Any) -> dict[Any, int]:
    """Return the windows that a table's store has recovered, with their partitions."""
    store = table.data
    if isinstance(store, MemoryStore):
        return {key: at for key, at in store._key_partition.items() if key in store.data}
    if isinstance(store, RocksDBStore):
        return {
            table._to_key(store._decode_key(key)): partition
            for partition, database in store._dbs.items()
            for key in store._visible_keys(database)
        }
    return {}


def note_windows(table: Any, windows: Mapping[Any, int], owned: Collection[int] | None) -> None:
    """Make a table note the ends of exactly these windows.

    Args:
        owned: The partitions whose windows stay in a store in memory; ``None`` for all.
    """
    before = noted_windows(table)
    table._partition_timestamp_keys.clear()
    table._partition_timestamps.clear()
    for key, partition in windows.items():
        table._maybe_set_key_ttl(key, partition)
    if owned is None:
        return
    for partition in table._partition_latest_timestamp.keys() - set(owned):
        del table._partition_latest_timestamp[partition]
    if isinstance(table.data, MemoryStore):
        for key in before.keys() - windows.keys():
            table.data.data.pop(key, None)


def time_kept(table: Any) -> float:
    """Return for how long a change may belong to a window that has not expired (seconds, 0 for no end)."""
    window = table.window
    if window is None or not window.expires:
        return 0.0
    size = window.size if hasattr(window, "size") else window.before + window.after
    return float(size + window.expires)


def fed_by_events(found: Any) -> list[Any]:
    """Return the tables of an app whose changes belong to the partition of the event that makes them.

    The buffers of joins are left out: their number of partitions follows that of their topics.
    """
    return [
        table
        for table in found.values()
        if not (table.is_global or table.use_partitioner or getattr(table, "follows_sources", False))
    ]
