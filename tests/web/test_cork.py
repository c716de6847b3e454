"""Frames of a socket are written together."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from web.chat.cork import MOST_BYTES, Cork


class Recorder(asyncio.Transport):
    """A transport that records what it writes."""

    def __init__(self) -> None:
        super().__init__({"peername": "peer"})
        self.writes: list[bytes] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing


def test_data_pass_at_once_unless_they_are_kept_back() -> None:
    transport = Recorder()
    cork = Cork(transport)
    cork.write(b"1")
    with cork:
        cork.write(b"2")
        cork.write(b"3")
        assert transport.writes == [b"1"]
    with cork:
        pass
    cork.write(b"4")

    assert transport.writes == [b"1", b"23", b"4"]
    assert cork.get_extra_info("peername") == "peer"


def test_data_are_written_also_when_the_writer_is_cancelled() -> None:
    transport = Recorder()
    with suppress(asyncio.CancelledError), Cork(transport) as cork:
        cork.write(b"1")
        raise asyncio.CancelledError

    assert transport.writes == [b"1"]


def test_many_data_are_not_kept_back() -> None:
    transport = Recorder()
    with Cork(transport) as cork:
        cork.write(bytes(MOST_BYTES + 1))
        assert len(transport.writes) == 1
        cork.write(b"1")

    assert [len(each) for each in transport.writes] == [MOST_BYTES + 1, 1]


def test_a_connection_that_closes_gets_nothing_more() -> None:
    transport = Recorder()
    with Cork(transport) as cork:
        cork.write(b"1")
        transport.closing = True

    assert cork.is_closing()
    assert transport.writes == []
