"""Rows of a join's buffer: one for each event that may still find a partner, and their form in a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from faust_redis.joins.sides import Side

__all__ = ["NO_PAIR", "Row", "RowId", "decode_row", "encode_row", "row_id", "row_key"]

#: The ``made`` of a row whose event has made no pair as the later one of its partners.
NO_PAIR: Final = -1


class RowId(NamedTuple):
    """The entry that a row belongs to.

    Attributes:
        partition: Number of the partition, the same for both sides.
    """

    partition: int
    topic: str
    offset: int


@dataclass(slots=True)
class Row:
    """An event that may still find a partner.

    A pair is made by that of its two events which was buffered later, the one with the larger ``number``.

    Attributes:
        id: The entry that holds the event; a second delivery of it finds the row by this.
        side: The side of the join.
        number: Position in the order in which events of the partition were buffered.
        timestamp: Time of the event (seconds since the epoch).
        arrived: Time at which it was buffered (the same).
        made: The largest number of an earlier row with which a pair is made. Once it is ``number``, all are.
        is_matched: Whether any pair of this event has been made, by this event or a later one.
        key: The join's key.
        value: The event's value, serialized.
    """

    id: RowId
    side: Side
    number: int
    timestamp: float
    arrived: float
    made: int
    is_matched: bool
    key: bytes
    value: bytes | None

    @property
    def is_open(self) -> bool:
        """Whether the event has not made all pairs with earlier events yet: it is about to come again."""
        return self.made < self.number


def row_key(row: RowId) -> bytes:
    """Return the key of a row in its table."""
    return f"{row.partition}/{row.offset}/{row.topic}".encode()


def row_id(key: bytes) -> RowId:
    """Return the entry that the key of a row names."""
    partition, offset, topic = key.decode().split("/", 2)
    return RowId(int(partition), topic, int(offset))


def encode_row(row: Row) -> bytes:
    """Return a row as its table holds it: a line of figures, the key, the value."""
    figures = [
        int(row.side),
        row.number,
        row.timestamp,
        row.arrived,
        row.made,
        int(row.is_matched),
        len(row.key),
        int(row.value is None),
    ]
    return json.dumps(figures, separators=(",", ":")).encode() + b"\n" + row.key + (row.value or b"")


def decode_row(key: bytes, data: bytes) -> Row:
    """Return the row that a table holds under a key."""
    line, _, content = data.partition(b"\n")
    side, number, timestamp, arrived, made, is_matched, length, is_none = json.loads(line)
    return Row(
        id=row_id(key),
        side=Side(side),
        number=number,
        timestamp=timestamp,
        arrived=arrived,
        made=made,
        is_matched=bool(is_matched),
        key=content[:length],
        value=None if is_none else content[length:],
    )
