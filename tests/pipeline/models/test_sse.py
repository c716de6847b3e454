"""The parser of server-sent events."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.sse import Event, EventParser


def parsed(*pieces: bytes) -> list[tuple[str, bytes]]:
    """Return the events in the pieces, the one that the end completes included."""
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [(event.name, event.data) for event in [*events, *parser.end()]]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("message", b"a")]),
        (b"data:a\r\n\r\ndata:  b\r\r", [("message", b"a"), ("message", b" b")]),
        (b"data: a\ndata\ndata: b\n\n", [("message", b"a\n\nb")]),
        (b": ping\n\nevent: error\ndata: x\nid: 7\nretry: 10\nodd\n\n", [("error", b"x")]),
        (b"event: lost\n\ndata: a\n\n", [("message", b"a")]),
        (b"\n\n\n", []),
        (b"data: no blank line", [("message", b"no blank line")]),
        (b"data: one\n\ndata: two\n", [("message", b"one"), ("message", b"two")]),
        (b"\xef\xbb\xbfdata: after a mark\n\n", [("message", b"after a mark")]),
        (b"data:\n\ndata: : keepalive\n\n", [("message", b""), ("message", b": keepalive")]),
        (b'error: {"code": 500}\n\ndata: a\n\n', [("error", b'{"code": 500}'), ("message", b"a")]),
        (b'data: a\n\n{"error": "b"}\n', [("message", b"a"), ("message", b'{"error": "b"}')]),
        (b'data: a\n{"error": "b"}', [("message", b"a"), ("message", b'{"error": "b"}')]),
        (b'{"a": 1}\n{"a": 2}\n', [("message", b'{"a": 1}'), ("message", b'{"a": 2}')]),
        (b'{\n  "a": {\n  }\n}\ndata: b\n\n', [("message", b'{\n  "a": {\n  }\n}'), ("message", b"b")]),
        (b"", []),
    ],
)
def test_events_are_found(stream: bytes, events: list[tuple[str, bytes]]) -> None:
    assert parsed(stream) == events
    assert parsed(*(bytes([byte]) for byte in stream)) == events


@given(
    before=st.sampled_from([b"", b"data: a\n\n", b"data: a\n", b"data: a\r", b"event: x\n", b"{\n", b"dat"]),
    lines=st.lists(
        st.sampled_from(
            [b"data: a", b"data: ", b"data: {}", b"data: [DONE]", b"data:b", b"event: e", b"", b"{}"]
        )
    ),
    end=st.sampled_from([b"\n\n", b"\n", b"\r\n\r\n", b"\r\r"]),
)
def test_plain_events_are_read_as_all_others(before: bytes, lines: list[bytes], end: bytes) -> None:
    piece = b"".join(line + end for line in lines)
    short, long = EventParser(), EventParser()
    short.feed(before)
    long.feed(before)
    data = short.feed_plain(piece)
    assert data is None or [Event("message", each) for each in data] == long.feed(piece)
    if data is not None:
        assert short.feed(b"data: next\n\n") == long.feed(b"data: next\n\n")


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(0, 400)),
)
def test_it_does_not_matter_where_the_stream_is_split(texts: list[str], end: bytes, cuts: list[int]) -> None:
    stream = b"".join(b"data: " + text.encode() + 2 * end for text in texts)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert [data.decode() for _, data in parsed(*pieces)] == texts


@pytest.mark.parametrize(
    "pieces",
    [[b"data: " + b"x" * 200], [b"data: x\n"] * 100, [b"x" * 10] * 20, [b"data: " + b"x" * 200 + b"\n\n"]],
)
def test_an_event_without_end_is_refused(pieces: list[bytes]) -> None:
    parser = EventParser(max_bytes=100)
    with pytest.raises(ModelError, match="no end"):
        deque(map(parser.feed, pieces))


def test_many_events_may_be_longer_than_one_may_be() -> None:
    parser = EventParser(max_bytes=100)
    events = parser.feed(b"data: 0123456789\n\n" * 50)
    assert events == [Event("message", b"0123456789")] * 50
