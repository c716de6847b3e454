"""What a stream entry looks like: the one place that names its fields.

An entry holds ``v`` (value), ``k`` (key), ``h`` (headers) and ``t`` (timestamp, ms since the epoch).
A field that is absent means ``None``, so that a tombstone differs from an empty value.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Headers", "Record", "decode", "decode_fields", "encode", "offset_of"]

Headers = list[tuple[str, bytes]]

_VALUE, _KEY, _HEADERS, _TIMESTAMP = b"v", b"k", b"h", b"t"
_LENGTH = struct.Struct("!I")


class Record(NamedTuple):
    """One entry of a partition, as the consumer hands it on.

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
    headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None,
    timestamp: float | None,
) -> list[bytes]:
    """Return the flat field list for ``XADD``.

    Args:
        timestamp: Seconds since the epoch; ``None`` means now.
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
    """Return the record that an entry holds; unknown fields are skipped."""
    if len(fields) == 6 and fields[0] == _TIMESTAMP and fields[2] == _VALUE and fields[4] == _KEY:
        # As :func:`encode` makes nearly all of them.
        return Record(offset_of(entry_id), fields[5], fields[3], [], int(fields[1]))
    parts = iter(fields)
    return Record(offset_of(entry_id), *decode_fields(dict(zip(parts, parts, strict=True))))


def decode_fields(fields: Mapping[bytes, bytes]) -> tuple[bytes | None, bytes | None, Headers, int]:
    """Return key, value, headers and timestamp (ms) of an entry; unknown fields are skipped."""
    packed = fields.get(_HEADERS)
    return (
        fields.get(_KEY),
        fields.get(_VALUE),
        _unpack(packed) if packed else [],
        int(fields.get(_TIMESTAMP, 0)),
    )


def offset_of(entry_id: bytes) -> int:
    """Return ``N`` of an entry id ``0-N``."""
    return int(entry_id.partition(b"-")[2])


def _pack(headers: Iterable[tuple[str, bytes]]) -> bytes:
    parts: list[bytes] = []
    for name, value in headers:
        for part in (name.encode(), value):
            parts += (_LENGTH.pack(len(part)), part)
    return b"".join(parts)


def _unpack(packed: bytes) -> Headers:
    parts: list[bytes] = []
    at = 0
    while at < len(packed):
        (length,) = _LENGTH.unpack_from(packed, at)
        at += _LENGTH.size
        parts.append(packed[at : at + length])
        at += length
    return [(name.decode(), value) for name, value in zip(parts[::2], parts[1::2], strict=True)]
