"""The short ways of streams and sends: what a program sees is what Faust shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import faust
import pytest
import redis
from faust.exceptions import ProducerSendError
from faust.types import FutureMessage

from tests.support.waiting import eventually, wait_until
from tests.transport.conftest import StartWorker

PROGRAM = "tests.transport.programs.short_ways"


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[faust.App]:
    """An app whose producer has started."""
    app = faust.App("sender", broker=redis_url, topic_partitions=2)
    await app.maybe_start_producer()
    yield app
    await app.producer.stop()


class Sends(faust.Sensor):
    """Remembers the messages it was told of, and the states it got back."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Any] = []
        self.ended: list[Any] = []

    def on_send_initiated(self, producer: Any, topic: str, message: Any, keysize: int, valsize: int) -> Any:
        self.begun.append(message.value)
        return message.value

    def on_send_completed(self, producer: Any, state: Any, metadata: Any) -> None:
        self.ended.append(state)


class OwnTopic(faust.Topic):
    """What a program may make instead of Faust's topic."""


async def send_all(url: str, topic: str, *words: str) -> None:
    sender = faust.App("sender", broker=url, topic_partitions=1)
    await sender.maybe_start_producer()
    for word in words:
        await sender.topic(topic, key_type=str, value_type=str).send(key="k", value=word)
    await sender.producer.stop()


async def test_a_sensor_is_told_of_each_message_and_gets_its_own_state_back(app: faust.App) -> None:
    sensor = Sends()
    app.sensors.add(sensor)
    topic = app.topic("out", value_type=bytes)
    for value in (b"1", b"2", b"3"):
        await (await topic.send(value=value))

    assert sensor.begun == sensor.ended == [b"1", b"2", b"3"]


async def test_a_sensor_that_is_added_later_is_told_from_then_on(app: faust.App) -> None:
    topic = app.topic("out", value_type=bytes)
    for value in (b"1", b"2"):
        await (await topic.send(value=value))
    sensor = Sends()
    app.sensors.add(sensor)
    await (await topic.send(value=b"3"))

    assert sensor.begun == sensor.ended == [b"3"]


async def test_the_callback_of_a_message_is_called_when_redis_has_it(app: faust.App) -> None:
    topic = app.topic("out", value_type=bytes)
    called: list[int] = []

    def note(message: FutureMessage) -> None:
        called.append(message.result().offset)

    for _ in range(2):
        await (await topic.send(value=b"1", partition=0, callback=note))
    await eventually(lambda: called == [1, 2], "both callbacks")


async def test_a_message_to_a_partition_that_does_not_exist_is_refused(app: faust.App) -> None:
    topic = app.topic("out", value_type=bytes)
    await (await topic.send(value=b"1"))

    with pytest.raises(ProducerSendError, match="2 partitions, no number 7"):
        await topic.send(value=b"2", partition=7)


async def test_key_value_headers_and_time_arrive_as_they_were_sent(
    app: faust.App, notes: redis.Redis
) -> None:
    topic = app.topic("out", key_type=str, value_type=str, value_serializer="raw")
    for _ in range(2):
        await (await topic.send(key="k", value="v", headers={"h": b"1"}, timestamp=12.5, partition=0))

    first, second = (fields for _, fields in cast("list[Any]", notes.xrange("{out:0}")))
    assert first == second
    assert (first["k"], first["v"], first["t"]) == ("k", "v", "12500")
    assert "h" in first


async def test_a_topic_of_the_programs_own_class_stays_what_it_is(app: faust.App) -> None:
    topic = OwnTopic(app, topics=["out"], value_type=bytes)
    for _ in range(2):
        await (await topic.send(value=b"1"))

    assert type(topic) is OwnTopic


async def test_a_sensor_is_told_of_every_step_of_an_event(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url, program=PROGRAM, sensor="1")
    await send_all(redis_url, "words", "first", "tell")
    wait_until(lambda: notes.llen("words") == 2, "both words")

    of_first = ["message in", "event in", "event out, its own state", "message out"]
    assert notes.lrange("noted", 0, -1) == [*of_first, "message in", "event in"]


async def test_a_stream_of_the_programs_own_class_is_used(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url, program=PROGRAM, stream="own")
    await send_all(redis_url, "words", "tell")
    wait_until(lambda: notes.llen("words") == 1, "the word")

    assert "own stream" in cast("list[str]", notes.lrange("noted", 0, -1))


async def test_what_a_filter_drops_is_acked(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    start_worker(redis_url, program=PROGRAM)
    await send_all(redis_url, "sifted", "a", "xb", "c", "xd")

    wait_until(lambda: notes.lrange("sifted", 0, -1) == ["a", "c"], "what is not dropped")
    wait_until(lambda: notes.xlen("{sifted:0}") == 0, "all of it to be acked, and so trimmed")


async def test_more_than_the_streams_buffer_holds_comes_whole_and_in_order(
    redis_url: str, start_worker: StartWorker, notes: redis.Redis
) -> None:
    words = [str(number) for number in range(300)]
    await send_all(redis_url, "words", *words)
    start_worker(redis_url, program=PROGRAM, buffer="4")

    wait_until(lambda: notes.llen("words") >= len(words), "every word")
    assert notes.lrange("words", 0, -1) == words
