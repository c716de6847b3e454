"""Skip Faust's pause for tables at the start of a worker without tables."""

from __future__ import annotations

from faust.tables import TableManager

__all__ = ["NoTables"]


class NoTables(TableManager):
    """The table manager of an app that declares no tables.

    Faust waits a second for tables that a task may declare. All sessions of a stage would wait for that
    whenever their worker restarts.
    """

    async def on_start(self) -> None:
        """Start the empty recovery, for which the subscription waits."""
        await self._update_channels()
        await self.recovery.start()
