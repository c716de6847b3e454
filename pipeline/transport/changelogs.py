"""Changelogs have one writer: what a former owner of a partition still writes into its table goes nowhere.

An agent may be in the middle of an event when its partition gets another owner, above all in a worker that
was frozen. The event is delivered again, and the new owner's table counts it. Were the late write let in, it
would be the last one of its key, and the next recovery would bring an old value back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from faust.types import TP, AppT
from redis.exceptions import NoScriptError

from .errors import NotOwnerError
from .keys import lease_key
from .scripts import Scripts
from .servers import Server

if TYPE_CHECKING:
    from faust.tables.manager import TableManager

__all__ = ["UNFENCED", "Changelogs"]

#: The lease under which anybody may write.
UNFENCED: Final = ""


class Changelogs:
    """The leases of one app's member on the changelogs of its tables."""

    def __init__(self, app: AppT, server: Server, scripts: Scripts) -> None:
        self.app = app
        self._server = server
        self._scripts = scripts
        self._owned: frozenset[TP] = frozenset()
        self._lease = UNFENCED

    async def take(self, member_id: str, generation: int) -> None:
        """Take the leases of the changelogs that a generation's assignment gives this member.

        Must come before they are read: what a former owner writes afterwards is refused.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        actives = self.app.assignor.assigned_actives()
        self._owned = frozenset(tp for tp in actives if tp.topic in self._tables)
        self._lease = f"{generation}:{member_id}"
        group = self.app.conf.id
        # In one round trip, as there may be hundreds: a pool has no connections for so many calls at a time.
        calls = [
            self._scripts.command("take_lease", [lease_key(*tp, group)], generation, member_id)
            for tp in self._owned
        ]
        replies = await self._server.stream.execute_many(calls) if calls else []
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self._scripts.load("take_lease")
            replies = await self._server.stream.execute_many(calls)
        for reply in replies:
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
            raise NotOwnerError(*tp)
        return self._lease

    @property
    def _tables(self) -> Mapping[str, Any]:
        tables: Mapping[str, Any] = cast("TableManager", self.app.tables)._changelogs
        return tables
