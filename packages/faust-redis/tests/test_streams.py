"""Streams as an agent sees them: what it is given, what is acked, and what comes again."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
import pytest
from faust.exceptions import Skip
from faust.types import TP, EventT, StreamT
from redis.asyncio import Redis

from faust_redis.testing import eventually
from tests.apps import MakeApp, collect_events, collect_values, is_empty, running, send_all


async def test_what_a_processor_makes_of_a_value_is_what_the_agent_gets(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in")
    got: list[Any] = []

    async def add_one(value: int) -> int:
        return value + 1

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        stream.add_processor(lambda value: value * 10)
        stream.add_processor(add_one)
        async for value in stream:
            assert stream.current_event is not None
            got.append((value, stream.current_event.value, faust.current_event() is stream.current_event))

    async with running(app):
        await send_all(topic, 1, 2)
        await eventually(lambda: got == [(11, 1, True), (21, 2, True)], "both values")


async def test_an_event_that_a_processor_skips_is_acked(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = app.topic("in")
    counted: list[int] = []

    def odd(value: int) -> int:
        if value % 2 == 0:
            raise Skip
        return value

    @app.agent(topic)
    async def work(stream: Any) -> None:
        stream.add_processor(odd)
        async for value in stream:
            counted.append(value)
            assert stream.events_total == len(counted)

    async with running(app):
        await send_all(topic, 1, 2, 3, 4)
        await eventually(lambda: counted == [1, 3], "what is not skipped")
        await eventually(is_empty(streams, "in"), "all to be acked")


@pytest.mark.slow
async def test_an_event_whose_processor_raises_comes_again(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = app.topic("in")
    tried: list[int] = []
    got: list[int] = []

    def careful(value: int) -> int:
        tried.append(value)
        if tried.count(value) == 1:
            raise ValueError(value)
        return value

    @app.agent(topic)
    async def work(stream: Any) -> None:
        if careful not in stream._processors:
            stream.add_processor(careful)
        async for value in stream:
            got.append(value)

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: got == [1], "the second attempt")
        await eventually(is_empty(streams, "in"), "it to be acked")


async def test_a_stream_without_acks_leaves_them_to_its_agent(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = app.topic("in")
    events: list[EventT[int]] = []

    @app.agent(topic)
    async def work(stream: Any) -> None:
        async for event in stream.noack().events():
            events.append(event)

    async with running(app):
        await send_all(topic, 1, 2, 3)
        await eventually(lambda: len(events) == 3, "three events")
        events[0].ack()
        events[2].ack()

        async def left() -> bool:
            entries = await streams.xrange("{in:0}")
            return [offset for offset, _ in entries or ()] == [b"0-2", b"0-3"]

        await eventually(left, "all up to the one that is not acked to be gone")
        events[1].ack()
        await eventually(is_empty(streams, "in"), "the rest to be acked")


async def test_an_event_its_agent_has_acked_stays_acked_when_it_is_torn_away(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app(broker_rebalance_timeout=1.0)
    topic = app.topic("in")
    begun: list[int] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            event.ack()
            begun.append(event.value)
            await asyncio.Event().wait()

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: begun == [1], "the event")

    assert await streams.xlen("{in:0}") == 0


@pytest.mark.slow
async def test_an_event_an_agent_breaks_off_from_comes_again(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = app.topic("in")
    got: list[int] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            got.append(value)
            break
        async for value in stream:
            got.append(value)

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: got == [1, 1], "the second delivery")
        await eventually(is_empty(streams, "in"), "it to be acked")


async def test_a_stream_ends_when_its_agent_stops(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in")
    seen: list[Any] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            seen.append(value)
        seen.append("end")

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: seen == [1], "the value")

    assert seen == [1, "end"]


async def test_keys_and_numbers_come_with_the_values(make_app: MakeApp) -> None:
    app = make_app()
    first, second = (app.topic(name, key_type=str) for name in ("first", "second"))
    got: list[Any] = []

    @app.agent(first)
    async def items(stream: StreamT[int]) -> None:
        async for key, value in stream.items():
            got.append((key, value))

    @app.agent(second)
    async def numbered(stream: StreamT[int]) -> None:
        async for number, value in stream.enumerate(start=1):
            got.append((number, value))

    async with running(app):
        await first.send(key="k", value=7)
        await second.send(key="k", value=8)
        await eventually(lambda: sorted(got, key=str) == [("k", 7), (1, 8)], "both")


@pytest.mark.parametrize("kind", ["take", "take_events"])
@pytest.mark.slow
async def test_what_comes_while_an_agent_that_takes_batches_is_started_again_is_not_lost(
    make_app: MakeApp, streams: Redis, kind: str
) -> None:
    app = make_app()
    topic = app.topic("in")
    done: set[int] = set()
    batches = 0

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        nonlocal batches
        async for batch in getattr(stream, kind)(3, within=0.05):
            batches += 1
            if batches in (
                1,
                2,
            ):
                raise ValueError(batches)
            done.update(getattr(each, "value", each) for each in batch)

    async with running(app):
        await send_all(topic, *range(40))
        await eventually(lambda: batches == 2, "the second error")
        await send_all(topic, *range(40, 60))
        await eventually(lambda: done == set(range(60)), "every value to be in a batch", 60)
        await eventually(is_empty(streams, "in"), "all to be acked")


async def test_a_batch_is_acked_when_its_agent_asks_for_the_next_one(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    topic = app.topic("in")
    batches: list[list[int]] = []
    goes_on = asyncio.Event()

    @app.agent(topic)
    async def work(stream: Any) -> None:
        async for batch in stream.take_events(2, within=30):
            batches.append([event.value for event in batch])
            await goes_on.wait()

    async with running(app):
        await send_all(topic, 1, 2, 3, 4)
        await eventually(lambda: batches == [[1, 2]], "the first batch")
        await app.consumer.commit()
        assert await streams.xlen("{in:0}") == 4
        goes_on.set()
        await eventually(lambda: batches == [[1, 2], [3, 4]], "the second batch")
        await eventually(is_empty(streams, "in"), "all to be acked")


async def test_an_event_is_acked_when_all_agents_of_its_topic_are_done(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    topic = app.topic("in")
    quick: list[int] = []
    slow: list[int] = []
    goes_on = asyncio.Event()

    @app.agent(topic)
    async def work_quickly(stream: StreamT[int]) -> None:
        async for value in stream:
            quick.append(value)

    @app.agent(topic)
    async def work_slowly(stream: StreamT[int]) -> None:
        async for value in stream:
            await goes_on.wait()
            slow.append(value)

    async with running(app):
        await send_all(topic, 1, 2)
        await eventually(lambda: quick == [1, 2], "the quick one")
        await app.consumer.commit()
        assert await streams.xlen("{in:0}") == 2
        goes_on.set()
        await eventually(lambda: slow == [1, 2], "the slow one")
        await eventually(is_empty(streams, "in"), "all to be acked")


@pytest.mark.slow
async def test_an_event_one_of_two_agents_is_torn_away_from_is_not_acked(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app(broker_rebalance_timeout=1.0)
    topic = app.topic("in")
    begun: list[int] = []
    finished: list[int] = []

    @app.agent(topic)
    async def hang(stream: StreamT[int]) -> None:
        async for value in stream:
            begun.append(value)
            await asyncio.Event().wait()

    @app.agent(topic)
    async def finish_late(stream: StreamT[int]) -> None:
        async for value in stream:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                finished.append(value)

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: begun == [1], "the event")

    assert await streams.xlen("{in:0}") == 1


async def test_each_agent_of_a_topic_decodes_as_it_wants(make_app: MakeApp) -> None:
    app = make_app()
    got: list[Any] = []

    @app.agent(app.topic("in", value_serializer="json"))
    async def read_json(stream: StreamT[Any]) -> None:
        async for value in stream:
            got.append(value)

    @app.agent(app.topic("in", value_serializer="raw"))
    async def read_bytes(stream: StreamT[Any]) -> None:
        async for value in stream:
            got.append(value)

    async with running(app):
        await send_all(app.topic("in", value_serializer="json"), {"a": 1})
        await eventually(lambda: sorted(got, key=str) == [b'{"a":1}', {"a": 1}], "both")


class Shouting(faust.Topic):
    """Has a way of its own to read messages."""

    def _compile_decode(self) -> None:
        async def decode(message: Any, *, propagate: bool = False) -> EventT[Any]:
            return self._create_event(message.key, message.value.upper(), message.headers, message)

        self.decode = decode  # type: ignore[method-assign]


async def test_a_topic_that_decodes_in_its_own_way_does(make_app: MakeApp) -> None:
    app = make_app()
    topic = Shouting(app, topics=["in"], value_serializer="raw")
    got = collect_values(app, topic)

    async with running(app):
        await send_all(topic, b"hush")
        await eventually(lambda: got == [b"HUSH"], "the word")


class Counting(faust.Topic):
    """Sees every event before its stream does."""

    seen: list[Any] = []  # noqa: RUF012  shared with its clones

    async def __anext__(self) -> EventT[Any]:
        event = await super().__anext__()
        self.seen.append(event.value)
        return event


async def test_a_topic_that_hands_out_events_in_its_own_way_does(make_app: MakeApp) -> None:
    app = make_app()
    topic = Counting(app, topics=["in"])
    got = collect_values(app, topic)

    async with running(app):
        await asyncio.gather(*(send_all(topic, number) for number in range(20)))
        await eventually(lambda: sorted(got) == list(range(20)), "every value")

    assert Counting.seen == got


class Strict(faust.Topic):
    """Is told of what can't be decoded."""

    refused: list[bytes] = []  # noqa: RUF012  shared with its clones

    async def on_value_decode_error(self, exc: Exception, message: Any) -> None:
        self.refused.append(message.value)


async def test_a_topic_is_told_of_what_cannot_be_decoded(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = Strict(app, topics=["in"], value_serializer="json")
    got = collect_values(app, topic)

    async with running(app):
        await send_all(topic, b"{no json", 1)
        await eventually(lambda: (Strict.refused, got) == ([b"{no json"], [1]), "the error, and what follows")
        await eventually(is_empty(streams, "in"), "both to be acked")


async def test_an_empty_value_is_none_where_it_is_allowed(make_app: MakeApp) -> None:
    app = make_app()
    topic = app.topic("in", value_type=bytes, value_serializer="raw", allow_empty=True)
    got = collect_values(app, topic)

    async with running(app):
        await send_all(topic, None, b"", b"1")
        await eventually(lambda: got == [None, b"", b"1"], "three values")


class OwnEvent(faust.Event):
    """A program's replacement of Faust's event."""


async def test_events_are_of_the_programs_own_class(make_app: MakeApp) -> None:
    app = make_app(Event=OwnEvent)
    topic = app.topic("in")
    got = collect_events(app, topic, type)

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: got == [OwnEvent], "the event")


class Steps(faust.Sensor):
    """Remembers the events it was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Any] = []
        self.ended: list[Any] = []

    def on_stream_event_in(self, tp: TP, offset: int, stream: StreamT[Any], event: EventT[Any]) -> Any:
        self.begun.append(event.value)
        return {"value": event.value}

    def on_stream_event_out(
        self, tp: TP, offset: int, stream: StreamT[Any], event: EventT[Any], state: Any = None
    ) -> None:
        self.ended.append(state["value"])


async def test_a_sensor_is_told_of_events_from_when_it_is_added_until_it_is_removed(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    topic = app.topic("in")
    got: list[int] = []
    sensor = Steps()

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            got.append(value)

    async with running(app):
        for change in (None, app.sensors.add, app.sensors.remove):
            if change is not None:
                change(sensor)
            await send_all(topic, len(got))
            await eventually(is_empty(streams, "in"), "the event to be acked")

    assert got == [0, 1, 2]
    assert sensor.begun == sensor.ended == [1]


@pytest.mark.slow
async def test_acks_are_told_to_redis_after_so_many_as_the_setting_says(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app(broker_commit_interval=1000.0, broker_commit_every=5)
    topic = app.topic("in")
    collect_values(app, topic)

    async with running(app):
        await send_all(topic, *range(5))
        await eventually(is_empty(streams, "in"), "five acks to be enough")


async def test_what_an_agent_sends_waits_for_its_event_where_the_app_wants_that(
    make_app: MakeApp, streams: Redis, redis_url: str
) -> None:
    app = make_app(stream_publish_on_commit=True)
    source, attached, forced = (app.topic(name) for name in ("in", "attached", "forced"))
    goes_on = asyncio.Event()

    @app.agent(source)
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            await attached.send(value=value)
            await (await forced.send(value=value, force=True))
            await goes_on.wait()

    async with running(app):
        for topic in (attached, forced):  # their first message takes Faust's way in any case
            await (await topic.send(value=0))
        await (await source.send(value=1))

        async def is_forced() -> bool:
            return await streams.xlen("{forced:0}") == 2

        await eventually(is_forced, "what is forced")
        assert await streams.xlen("{attached:0}") == 1
        goes_on.set()

        async def is_attached() -> bool:
            return await streams.xlen("{attached:0}") == 2

        await eventually(is_attached, "what waits for its event")


async def test_events_are_acked_while_an_agent_with_a_table_never_rests(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    topic = app.topic("in")
    table = app.Table("last", default=int)
    left: list[int] = []

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            table["key"] = value
            if value == 3999:
                left.append(await streams.xlen("{in:0}"))

    await app.maybe_start_producer()
    for value in range(4000):
        await topic.send(value=value)
    await app.producer.flush()
    async with running(app):
        await eventually(lambda: left, "the last event")
    assert left[0] < 3500
