"""Start a worker that has no tables without Faust's pause for them."""

from __future__ import annotations

from faust.tables import TableManager

__all__ = ["NoTables"]


class NoTables(TableManager):
    """The table manager of an app that declares no tables.

    Faust waits a second for tables that a task may declare. All sessions of a stage would wait for that
    whenever their worker restarts.
    """

    async def on_start(self) -> None:
        """Begin with the recovery of nothing, for which the subscription waits."""
        await self._update_channels()
        await self.recovery.start()
