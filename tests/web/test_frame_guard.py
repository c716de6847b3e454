"""The frame guard: it sees the same frames however they are cut into pieces."""

from __future__ import annotations

import random

import pytest
from aiohttp import WSCloseCode

from tests.web.wire import CONTINUATION, PING, TEXT, wire_frame
from web.edge.frame_guard import FrameGuard, FrameViolation


def feed(guard: FrameGuard, data: bytes, pieces: random.Random) -> None:
    """Give data in pieces of any size."""
    while data:
        size = pieces.randint(1, 40)
        guard.feed(data[:size])
        data = data[size:]


@pytest.mark.parametrize("seed", range(50))
def test_messages_are_counted_and_nothing_is_held_at_their_end(seed: int) -> None:
    pieces = random.Random(seed)
    guard = FrameGuard(100_000)
    data, messages = b"", 0
    for _ in range(pieces.randint(1, 20)):
        fragments = pieces.randint(1, 4)
        for number in range(fragments):
            opcode = CONTINUATION if number else TEXT
            data += wire_frame(opcode, pieces.choice((0, 1, 125, 126, 3000)), final=number == fragments - 1)
            if pieces.random() < 0.3:
                data += wire_frame(PING, pieces.randint(0, 125))
        messages += 1
    feed(guard, data, pieces)
    assert guard.begun == messages
    assert guard.held == 0
    assert not guard.unfinished


@pytest.mark.parametrize("seed", range(20))
def test_all_fragments_of_an_unfinished_message_are_held(seed: int) -> None:
    pieces = random.Random(seed)
    guard = FrameGuard(100_000)
    feed(
        guard,
        wire_frame(TEXT, 5000, final=False)
        + wire_frame(PING, 3)
        + wire_frame(CONTINUATION, 4000, final=False),
        pieces,
    )
    assert guard.unfinished
    assert 9000 <= guard.held < 10_000
    feed(guard, wire_frame(CONTINUATION, 0), pieces)
    assert guard.held == 0


def test_a_slow_frame_counts_each_of_its_pieces() -> None:
    guard = FrameGuard(100_000)
    data = wire_frame(TEXT, 1000)
    for byte in data[:-1]:
        guard.feed(bytes((byte,)))
    # One object of the parser for each byte.
    assert guard.held > 60 * 900
    guard.feed(data[-1:])
    assert guard.held == 0


@pytest.mark.parametrize("opcode", [TEXT, PING])
@pytest.mark.parametrize("size", [0, 5, 125])
def test_a_frame_without_a_mask_is_refused(opcode: int, size: int) -> None:
    with pytest.raises(FrameViolation) as refused:
        FrameGuard(1000).feed(wire_frame(opcode, size, masked=False))
    assert refused.value.code is WSCloseCode.PROTOCOL_ERROR


def test_a_message_above_the_limit_is_refused_by_its_header_alone() -> None:
    with pytest.raises(FrameViolation) as refused:
        FrameGuard(1000).feed(wire_frame(TEXT, 1001)[:8])
    assert refused.value.code is WSCloseCode.MESSAGE_TOO_BIG


def test_fragments_count_together() -> None:
    guard = FrameGuard(1000)
    guard.feed(wire_frame(TEXT, 600, final=False))
    with pytest.raises(FrameViolation) as refused:
        guard.feed(wire_frame(CONTINUATION, 401))
    assert refused.value.code is WSCloseCode.MESSAGE_TOO_BIG


def test_a_message_of_just_the_limit_passes() -> None:
    guard = FrameGuard(1000)
    guard.feed(wire_frame(TEXT, 1000))
    guard.feed(wire_frame(TEXT, 999) + wire_frame(TEXT, 1000)[:500])
    assert guard.begun == 3
