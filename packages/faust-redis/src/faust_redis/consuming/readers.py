"""Create the reader of a worker."""

from __future__ import annotations

import sys
from typing import Any

from faust_redis.consuming.crash_marker import folder_of
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext

__all__ = ["reader_of"]


def reader_of(context: TransportContext, conf: Any, member_id: str) -> PartitionReader:
    """Return the reader of a worker, from the settings of its app."""
    return PartitionReader(
        context,
        conf.id,
        member_id,
        crash_markers=folder_of(conf.datadir),
        start="$" if conf.consumer_auto_offset_reset == "latest" else "0",
        read_count=conf.broker_max_poll_records,
        # Reading pauses when four fifths of a stream's buffer are full. The entries of one read fit into the
        # rest, so that no message has to wait for room.
        room=(conf.stream_buffer_maxsize or sys.maxsize) // 5,
    )
