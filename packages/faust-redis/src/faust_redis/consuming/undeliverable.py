"""Make dead letters of undeliverable entries: unreadable ones, and those that have killed workers."""

from __future__ import annotations

from collections.abc import Callable

from faust.types import TP, AppT, Message

from faust_redis.consuming.delivery import message_of
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.errors import TransportError, UnreadableEntryError
from faust_redis.log.entries import Record, offset_of

__all__ = ["Undeliverable"]


class Undeliverable:
    """Makes dead letters of entries, if their partition is still this worker's."""

    def __init__(
        self, app: AppT, reader: PartitionReader, reject: Callable[[Message, TransportError], None]
    ) -> None:
        """Take a function that makes a message a dead letter."""
        self._app = app
        self._reader = reader
        self._reject = reject

    def bury(self, tp: TP, record: Record, error: TransportError) -> None:
        """Make a dead letter of a pending entry."""
        message = message_of(tp, record, self._app.consumer_generation_id)
        queue = self._reader.queues.get(tp)
        if queue is not None:  # else another member owns the partition, and finds the entry pending
            queue.in_flight[record.offset] = message
            self._reject(message, error)

    def bury_unreadable(self, tp: TP, error: UnreadableEntryError) -> None:
        """Make a dead letter of an entry that can't be read; the dead letter has no content."""
        offset = offset_of(error.entry_id.encode())
        self.bury(tp, Record(offset, None, None, [], 0), error)
