"""The entry format: what is written is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faust_redis.log.entries import decode, encode

OPTIONAL_BYTES = st.none() | st.binary(max_size=64)
HEADERS = st.lists(st.tuples(st.text(max_size=16), st.binary(max_size=16)), max_size=4)


@given(OPTIONAL_BYTES, OPTIONAL_BYTES, HEADERS, st.integers(0, 2**41))
def test_what_is_encoded_is_decoded(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], millis: int
) -> None:
    record = decode(b"0-7", encode(key, value, headers, millis / 1000))

    assert (record.offset, record.key, record.value, record.headers) == (7, key, value, headers)
    assert record.timestamp == pytest.approx(millis, abs=1)


def test_a_tombstone_is_not_an_empty_value() -> None:
    assert decode(b"0-1", encode(b"k", None, None, 0.0)).value is None
    assert decode(b"0-1", encode(b"k", b"", None, 0.0)).value == b""


def test_fields_of_a_later_version_are_skipped() -> None:
    assert decode(b"0-1", [*encode(b"k", b"v", None, 0.0), b"new", b"x"]).value == b"v"
