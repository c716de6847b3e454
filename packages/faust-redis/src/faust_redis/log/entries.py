"""The format of a stream entry; only this module names its fields.

An entry holds ``v`` (value), ``k`` (key), ``h`` (headers) and ``t`` (timestamp, ms since the epoch).
A field that is absent means ``None``, so that a tombstone differs from an empty value. Headers are packed:
the name and the value of each, every one after its length (four bytes, big-endian; all ones for a value that
is ``None``), in the order they were given, repeats included, as on Kafka.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from faust_redis.errors import UnreadableEntryError

__all__ = [
    "REDELIVERY_HEADER",
    "DeliveryHeader",
    "Entry",
    "Headers",
    "Record",
    "decode",
    "decode_all",
    "decode_fields",
    "encode",
    "key_and_time",
    "offset_of",
]

Headers = list[tuple[str, bytes | None]]
#: An entry as Redis returns it: its id, and its fields and values in turn.
Entry = tuple[bytes, list[bytes]]

_VALUE, _KEY, _HEADERS, _TIMESTAMP = b"v", b"k", b"h", b"t"
_LENGTH = struct.Struct("!I")
#: The length that stands for a value that is ``None``.
_ABSENT: Final = 0xFFFF_FFFF
#: Maximum digits of a timestamp, with its sign; more would not be a time, and too large for a float.
_TIMESTAMP_DIGITS: Final = 17


class DeliveryHeader(str):
    """Name of a header that belongs to one delivery of an entry; it is not forwarded."""

    __slots__ = ()


#: Header of a redelivered message: the number of failed attempts.
REDELIVERY_HEADER: Final[str] = DeliveryHeader("redelivery")


class Record(NamedTuple):
    """One entry of a partition, as the consumer delivers it.

    Attributes:
        offset: ``N`` of the entry id ``0-N``, counted from 1.
        timestamp: Milliseconds since the epoch.
        attempts: How often processing has failed before this delivery.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int
    attempts: int = 0


def encode(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] | Mapping[str, bytes | None] | None,
    timestamp: float | None,
) -> list[bytes]:
    """Return the flat field list for ``XADD``: the timestamp and its value come first.

    Args:
        timestamp: Seconds since the epoch; ``None`` means now.

    Raises:
        TypeError: A header's name is not a string, or its value neither bytes nor ``None``.
    """
    millis = int((time.time() if timestamp is None else timestamp) * 1000)
    fields = [_TIMESTAMP, b"%d" % millis]
    if value is not None:
        fields += (_VALUE, value)
    if key is not None:
        fields += (_KEY, key)
    if headers:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        fields += (_HEADERS, _pack(pairs))
    return fields


def decode(entry_id: bytes, fields: list[bytes]) -> Record:
    """Return the record that an entry holds; unknown fields are skipped.

    Raises:
        UnreadableEntryError: Another writer's entry, with an invalid timestamp or unpacked headers.
    """
    try:
        if len(fields) == 6 and fields[0] == _TIMESTAMP and fields[2] == _VALUE and fields[4] == _KEY:
            # As :func:`encode` makes nearly all of them.
            return Record(offset_of(entry_id), fields[5], fields[3], [], _millis(fields[1]))
        parts = iter(fields)
        return Record(offset_of(entry_id), *decode_fields(dict(zip(parts, parts, strict=True))))
    except ValueError as error:
        raise UnreadableEntryError(entry_id.decode(errors="replace"), str(error)) from error


def decode_all(
    entries: Iterable[Entry],
) -> tuple[list[Record], list[UnreadableEntryError]]:
    """Return the records of entries, and an error for each entry that can't be read."""
    records: list[Record] = []
    unreadable: list[UnreadableEntryError] = []
    for entry_id, fields in entries:
        try:
            records.append(decode(entry_id, fields))
        except UnreadableEntryError as error:
            unreadable.append(error)
    return records, unreadable


def decode_fields(fields: Mapping[bytes, bytes]) -> tuple[bytes | None, bytes | None, Headers, int]:
    """Return key, value, headers and timestamp (ms) of an entry; unknown fields are skipped.

    Raises:
        ValueError: The timestamp is not an integer, or the headers are not packed.
    """
    packed = fields.get(_HEADERS)
    return (
        fields.get(_KEY),
        fields.get(_VALUE),
        _unpack(packed) if packed else [],
        _millis(fields.get(_TIMESTAMP, b"0")),
    )


def key_and_time(fields: list[bytes]) -> tuple[bytes | None, bytes | None]:
    """Return key and timestamp of an entry as it holds them, readable or not."""
    found = dict(zip(fields[::2], fields[1::2], strict=False))
    return found.get(_KEY), found.get(_TIMESTAMP)


def offset_of(entry_id: bytes) -> int:
    """Return ``N`` of an entry id ``0-N``."""
    return int(entry_id.partition(b"-")[2])


def _millis(text: bytes) -> int:
    if len(text) > _TIMESTAMP_DIGITS:
        raise ValueError(f"the timestamp {text[:_TIMESTAMP_DIGITS]!r}… is too long")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"the timestamp {text!r} is not a number of milliseconds") from None


def _pack(headers: Iterable[tuple[Any, Any]]) -> bytes:
    parts: list[bytes] = []
    for name, value in headers:
        if not isinstance(name, str):
            raise TypeError(f"the name of a header has to be a string, {name!r} is {type(name).__name__}")
        encoded = name.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
        if value is None:
            parts.append(_LENGTH.pack(_ABSENT))
        elif isinstance(value, (bytes, bytearray)):
            parts += (_LENGTH.pack(len(value)), bytes(value))
        else:
            kind = type(value).__name__
            raise TypeError(f"the value of header {name!r} has to be bytes or None, it is {kind}")
    return b"".join(parts)


def _unpack(packed: bytes) -> Headers:
    parts: list[bytes | None] = []
    at = 0
    while at < len(packed):
        if at + _LENGTH.size > len(packed):
            raise ValueError("the headers end within a length")
        (length,) = _LENGTH.unpack_from(packed, at)
        at += _LENGTH.size
        if length == _ABSENT:
            parts.append(None)
            continue
        if at + length > len(packed):
            raise ValueError("the headers are shorter than their lengths")
        parts.append(packed[at : at + length])
        at += length
    headers: Headers = []
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name is None:
            raise ValueError("a header has no name")
        headers.append((name.decode(), value))
    return headers
