"""The number of entries that a read asks for."""

from __future__ import annotations

import pytest

from faust_redis.consuming.reply_size import ROW, ReplySize


def size_of_small_entries() -> ReplySize:
    size = ReplySize(200)
    for _ in range(100):
        size.observe((b"0-1", [b"v", b"small"]))
    return size


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        pytest.param(1, 200, id="as-many-as-a-read-of-one-may-bring"),
        pytest.param(8, 100, id="as-fit-into-the-room"),
        pytest.param(150, ROW, id="a-row-of-each"),
        pytest.param(256, 6, id="as-fit-into-twice-the-room"),
        pytest.param(5000, 1, id="at-least-one"),
    ],
)
def test_a_read_asks_of_each_stream_for(streams: int, expected: int) -> None:
    assert size_of_small_entries().count(streams, 800) == expected
