"""Headers: an ordered list with repeats, as on Kafka, that belongs to one message."""

from __future__ import annotations

from typing import Any

import pytest
from faust.types import EventT, StreamT
from redis.asyncio import Redis

from faust_redis import REDELIVERY_HEADER
from faust_redis.log.entries import decode, encode
from faust_redis.testing import eventually
from tests.test_streams import MakeApp, make_app, running, streams

__all__ = ["make_app", "streams"]

VIA = [("via", b"a"), ("trace", None), ("via", b"b"), ("empty", b"")]


def headers_of(event: EventT[Any]) -> list[tuple[str, Any]]:
    """Return the headers of a message, in their order."""
    headers: Any = event.message.headers
    return list(headers)


async def test_a_redelivery_keeps_all_headers_in_their_order(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in", value_type=int)
    tries: list[list[tuple[str, Any]]] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            tries.append(headers_of(event))
            if len(tries) < 3:
                raise ValueError("not yet")

    async with running(app):
        await topic.send(value=1, headers=VIA)
        await eventually(lambda: len(tries) == 3, "the third try")

    assert tries == [VIA, [*VIA, (REDELIVERY_HEADER, b"1")], [*VIA, (REDELIVERY_HEADER, b"2")]]


@pytest.mark.parametrize("way", ["forward", "send", "through", "group_by"])
async def test_the_mark_of_a_redelivery_does_not_travel_to_the_next_topic(
    make_app: MakeApp, streams: Redis, way: str
) -> None:
    app = make_app()
    topic, following = app.topic("in", value_type=int), app.topic("out", value_type=int)
    raised: list[int] = []
    got: list[list[tuple[str, Any]]] = []

    def raise_once(value: int) -> int:
        if not raised:
            raised.append(value)
            raise ValueError("once")
        return value

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        if way in ("through", "group_by"):
            stream.add_processor(raise_once)
        if way == "through":
            async for event in stream.through(following).events():
                got.append(headers_of(event))
        elif way == "group_by":
            async for event in stream.group_by(lambda _: "k", name="same", topic=following).events():
                got.append(headers_of(event))
        else:
            async for event in stream.events():
                raise_once(event.value)
                await getattr(event, way)(following)

    if way in ("forward", "send"):

        @app.agent(following)
        async def collect(stream: StreamT[int]) -> None:
            async for event in stream.events():
                got.append(headers_of(event))

    async with running(app):
        await topic.send(value=1, headers={"via": b"a"})
        await eventually(lambda: raised and got, "the event in the next topic")

    assert got == [[("via", b"a")]]


async def test_a_header_of_the_same_name_that_a_program_sets_is_its_own(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in", value_type=int)
    got: list[Any] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            got.append(headers_of(event))

    async with running(app):
        await topic.send(value=1, headers=[("redelivery", b"mine")])
        await eventually(lambda: got, "the event")

    assert got == [[("redelivery", b"mine")]]


@pytest.mark.parametrize("headers", [{"x": None}, [("x", None)]])
async def test_a_header_without_a_value_travels(make_app: MakeApp, headers: Any) -> None:
    app = make_app()
    topic = app.topic("in", value_type=int)
    got: list[Any] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            got.append(headers_of(event))

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
    topic = app.topic("in", value_type=int)

    await app.maybe_start_producer()
    metadata = await (await topic.send(value=1, timestamp=1700000000.5))
    await app.producer.stop()

    assert (metadata.offset, metadata.timestamp, metadata.timestamp_type) == (1, 1700000000500, 0)
