"""Private parts of Faust's tables, their stores, and the assignor that shares their partitions."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from faust.types import TP

__all__ = [
    "assign_global_tables",
    "compress",
    "decompress",
    "forget_memory_keys",
    "forget_rocksdb_partition",
    "pending_persisted_offsets",
    "table_manager_of",
    "tables_by_changelog",
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
