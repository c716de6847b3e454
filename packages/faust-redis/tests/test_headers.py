"""Headers: an ordered list with repeats, as on Kafka, that belongs to one message."""

from __future__ import annotations

from typing import Any, cast

import pytest
from faust.types import EventT, StreamT
from redis.asyncio import Redis

from faust_redis import REDELIVERY_HEADER
from faust_redis.log.entries import decode, encode
from faust_redis.log.keys import Keys
from faust_redis.testing import eventually
from tests.apps import MakeApp, collect_events, running

KEYS = Keys()

VIA = [("via", b"a"), ("trace", None), ("via", b"b"), ("empty", b"")]


def headers_of(event: EventT[Any]) -> list[tuple[str, Any]]:
    """Return the headers of a message, in their order."""
    headers: Any = event.message.headers
    return list(headers)


@pytest.mark.slow
async def test_a_redelivery_keeps_all_headers_in_their_order(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in", value_type=cast(Any, int))
    tries: list[list[tuple[str, Any]]] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            tries.append(headers_of(event))
            if len(tries) < 3:
                raise ValueError("not yet")

    async with running(app):
        await topic.send(value=1, headers=cast(Any, VIA))
        await eventually(lambda: len(tries) == 3, "the third try")

    assert tries == [VIA, [*VIA, (REDELIVERY_HEADER, b"1")], [*VIA, (REDELIVERY_HEADER, b"2")]]


@pytest.mark.parametrize("way", ["forward", "send", "through", "group_by"])
async def test_the_mark_of_a_redelivery_does_not_travel_to_the_next_topic(
    make_app: MakeApp, streams: Redis, way: str
) -> None:
    app = make_app()
    topic, following = app.topic("in", value_type=cast(Any, int)), app.topic("out", value_type=cast(Any, int))
    got: list[list[tuple[str, Any]]] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        if way == "through":
            stream = stream.through(following)
        if way == "group_by":
            stream = stream.group_by(lambda _: "k", name="same", topic=following)
        async for event in stream.events():
            if event.message.topic == "out":
                got.append(headers_of(event))
            else:
                assert headers_of(event)[-1] == (REDELIVERY_HEADER, b"1")
                await getattr(event, way)(following)

    if way in ("forward", "send"):

        @app.agent(following)
        async def collect(stream: StreamT[int]) -> None:
            async for event in stream.events():
                got.append(headers_of(event))

    await add_failed(streams, app.conf.id, encode(None, b"1", [("via", b"a")], None))
    async with running(app):
        await eventually(lambda: got, "the event in the next topic")

    assert got == [[("via", b"a")]]


async def add_failed(streams: Redis, group: str, fields: list[bytes]) -> None:
    """Add an entry that has failed once, in a worker that is gone."""
    await streams.execute_command("XADD", "{in:0}", "0-*", *fields)  # type: ignore[no-untyped-call]
    await streams.xgroup_create("{in:0}", group, "0")
    await streams.xreadgroup(group, "gone", {"{in:0}": ">"})
    await streams.hset(KEYS.attempts(("in", 0), group), "0-1", "1")


async def test_a_header_of_the_same_name_that_a_program_sets_is_its_own(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in", value_type=cast(Any, int))
    got = collect_events(app, topic, headers_of)

    async with running(app):
        await topic.send(value=1, headers=[("redelivery", b"mine")])
        await eventually(lambda: got, "the event")

    assert got == [[("redelivery", b"mine")]]


@pytest.mark.parametrize("headers", [{"x": None}, [("x", None)]])
async def test_a_header_without_a_value_travels(make_app: MakeApp, headers: Any) -> None:
    app = make_app()
    topic = app.topic("in", value_type=cast(Any, int))
    got = collect_events(app, topic, headers_of)

    async with running(app):
        await topic.send(value=1, headers=headers)
        await eventually(lambda: got, "the event")

    assert got == [[("x", None)]]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([(b"x", b"1")], "the name of a header has to be a string, b'x' is bytes"),
        ([("x", 1)], "the value of header 'x' has to be bytes or None, it is int"),
        ([("x", "1")], "the value of header 'x' has to be bytes or None, it is str"),
    ],
)
def test_a_wrong_header_is_refused_in_words(headers: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        encode(None, b"v", headers, None)


def test_headers_are_read_as_they_were_written() -> None:
    assert decode(b"0-1", encode(None, b"v", VIA, 1.0)).headers == VIA


async def test_the_metadata_of_a_send_carry_the_timestamp(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in", value_type=cast(Any, int))

    await app.maybe_start_producer()
    metadata = await (await topic.send(value=1, timestamp=1700000000.5))
    await app.producer.stop()

    assert (metadata.offset, metadata.timestamp, metadata.timestamp_type) == (1, 1700000000500, 0)
