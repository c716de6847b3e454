"""Fence changelogs: late changes by a former owner of a partition are refused.

An agent may be in the middle of an event when its partition gets another owner, especially in a worker that
was frozen. The event is delivered again, and the new owner's table counts it. A late write, if accepted,
would be the last one of its key, and the next recovery would bring an old value back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from faust.stores.memory import Store as MemoryStore
from faust.stores.rocksdb import Store as RocksDBStore
from faust.tables.objects import ChangeloggedObjectManager
from faust.types import TP, AppT
from mode import get_logger

from faust_redis.errors import NotOwnerError
from faust_redis.faust_hooks import tables
from faust_redis.log.keys import Keys
from faust_redis.redis.scripts import TAKE_LEASE, ScriptRunner
from faust_redis.redis.servers import Server

__all__ = ["FENCED", "UNFENCED", "Changelogs"]

logger = get_logger(__name__)

#: The lease under which every process may write.
UNFENCED: Final = ""
#: The beginning of ``append.lua``'s error for another lease.
FENCED: Final = "FENCED"


class Changelogs:
    """The leases of one app's member on the changelogs of its tables.

    Attributes:
        on_loss: called when Redis has lost changes of a table, which has to be rebuilt.
    """

    def __init__(self, app: AppT, server: Server, scripts: ScriptRunner, keys: Keys) -> None:
        self.app = app
        self.on_loss: Callable[[], None] = lambda: None
        self._keys = keys
        self._server = server
        self._scripts = scripts
        self._owned: frozenset[TP] = frozenset()
        self._lease = UNFENCED
        self._diverged: set[TP] = set()
        self._trusted: set[TP] = set()

    async def take(self, member_id: str, generation: int, queues: Iterable[TP]) -> None:
        """Take the leases of the changelogs that a generation's assignment gives this member.

        Call it before reading them: later writes of a former owner are refused. Before this, its acks
        are refused for the tables' partitions, so an acked event has its changes in the tables.

        Args:
            queues: The partitions with acks.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        if not self._tables:
            return
        self._distrust_disks()
        actives = self.app.assignor.assigned_actives()
        self._owned = frozenset(tp for tp in actives if tp.topic in self._tables)
        self._lease = f"{generation}:{member_id}"
        group = self.app.conf.id
        for tps in (queues, self._owned):
            await self._take_leases([self._keys.lease(tp, group) for tp in tps], generation, member_id)

    def _distrust_disks(self) -> None:
        """Rebuild the tables that an earlier process left on disk, where each event counts exactly once.

        That process may have died after a change that was not committed.
        """
        if not cast(Any, self.app).in_transaction:
            return
        assignor = self.app.assignor
        for tp in {*assignor.assigned_actives(), *assignor.assigned_standbys()} - self._trusted:
            table = self._tables.get(tp.topic)
            if table is not None and isinstance(table.data, RocksDBStore):
                self.mark_diverged(tp)
            self._trusted.add(tp)

    def is_changelog(self, topic: str) -> bool:
        """Return whether a topic is the changelog of one of the app's tables."""
        return topic in self._tables

    async def _take_leases(self, keys: Iterable[str], generation: int, member_id: str) -> None:
        # In one round trip, as there may be hundreds: a pool has no connections for so many calls at a time.
        calls = [TAKE_LEASE.command([key], generation=generation, member_id=member_id) for key in keys]
        for reply in await self._scripts.run(TAKE_LEASE, calls, self._server.stream):
            if isinstance(reply, Exception):
                raise reply

    def lease_for(self, tp: TP) -> str:
        """Return the lease under which this process may write to a compacted partition.

        Raises:
            NotOwnerError: It is the changelog of a table whose partition another member owns.
        """
        table = self._tables.get(tp.topic)
        if table is None or not self._lease:
            return UNFENCED
        if tp not in self._owned and not (table.is_global or table.use_partitioner):
            self.mark_diverged(tp)
            raise NotOwnerError(*tp)
        return self._lease

    def mark_diverged(self, tp: TP) -> None:
        """Note that a table has a change here that its changelog has refused."""
        self._diverged.add(tp)

    def known(self) -> dict[TP, int]:
        """Return the offset up to which each changelog is contained in its table."""
        known: dict[TP, int] = {}
        for offsets in (self._recovery.active_offsets, self._recovery.standby_offsets):
            for tp, offset in offsets.items():
                if offset is not None and tp.topic in self._tables:
                    known[tp] = max(offset, known.get(tp, 0))
        return known

    def rebuild_diverged(self, ends: Mapping[TP, int]) -> None:
        """Clear the tables that differ from their changelogs, so that they are rebuilt from there.

        Args:
            ends: Of at least the partitions that are known, the last offset plus one.
        """
        known = self.known()
        for tp, offset in known.items():
            if offset >= ends[tp]:
                logger.error("%s-%s is shorter than the position it was read to, Redis has lost data", *tp)
                self.mark_diverged(tp)
        pending = tables.pending_persisted_offsets(self.app.tables)
        for tp in self._diverged:
            table = self._tables.get(tp.topic)
            if table is None:
                continue
            logger.warning(
                "table %s: partition %d is cleared and rebuilt from its changelog", table.name, tp.partition
            )
            gone = known.keys() if _empty(table, tp.partition) else {tp}
            for offsets in (self._recovery.active_offsets, self._recovery.standby_offsets, pending):
                for other in [other for other in gone if other.topic == tp.topic]:
                    offsets.pop(other, None)
        self._diverged.clear()

    @property
    def _recovery(self) -> Any:
        return cast(Any, self.app.tables).recovery

    @property
    def _tables(self) -> Mapping[str, Any]:
        return tables.tables_by_changelog(self.app.tables)


def _empty(table: Any, partition: int) -> bool:
    """Remove a partition of a table from this process and its disk; its changelog stays.

    Returns:
        Whether all other partitions of it went as well.
    """
    store = table.data
    if isinstance(store, ChangeloggedObjectManager):
        store.data.clear()  # created again from the store below, once that has been read
        store = store.storage
    if isinstance(store, MemoryStore):
        store.data.clear()
        tables.forget_memory_keys(store)
        return True
    if isinstance(store, RocksDBStore):
        tables.forget_rocksdb_partition(store, partition)
        shutil.rmtree(store.partition_path(partition), ignore_errors=True)
    return False
