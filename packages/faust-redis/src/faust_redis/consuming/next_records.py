"""Choose the records to deliver next."""

from __future__ import annotations

import asyncio
from typing import Final

from faust.types import TP

from faust_redis.consuming.attempts import Attempts
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.suspects import Suspects
from faust_redis.log.entries import Record
from faust_redis.redis.commands import REDIS_ERRORS, Outage

__all__ = ["NextRecords"]

#: Seconds between attempts to read while Redis is unavailable.
RETRY_DELAY: Final = 0.5


class NextRecords:
    """Returns failed events that are due again first, then suspects, then the entries of a read."""

    def __init__(self, attempts: Attempts, suspects: Suspects, reader: PartitionReader) -> None:
        self._attempts = attempts
        self._suspects = suspects
        self._reader = reader
        self._outage = Outage("reading")

    async def read(self, active: set[TP], timeout: float) -> dict[TP, list[Record]]:
        """Return the next records of these partitions; empty after ``timeout`` seconds, or without Redis."""
        due = self._attempts.due()
        if due:
            return due
        try:
            suspects = await self._suspects.due(active)
            if suspects:
                return suspects
            return await self._reader.read(active, self._suspects.pause(self._attempts.pause(timeout)))
        except REDIS_ERRORS as error:
            self._outage.log(error)
            await asyncio.sleep(RETRY_DELAY)
            return {}
