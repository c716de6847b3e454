"""The short ways of streams and sends: what a program sees is what Faust shows."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import faust
import pytest
import redis
from faust.exceptions import ProducerSendError
from faust.types import FutureMessage

from faust_redis.testing import RedisServer, eventually, wait_until
from tests.worker import StartWorker

PROGRAM = "tests.programs.fast_path"


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
    """A program's replacement of Faust's topic."""


async def send_all(url: str, topic: str, *words: str) -> None:
    sender = faust.App("sender", broker=url, topic_partitions=1)
    await sender.maybe_start_producer()
    for word in words:
        await sender.topic(topic, key_type=str, value_type=str).send(key="k", value=word)
    await sender.producer.stop()


async def test_a_sensor_is_told_of_each_message_and_gets_its_own_state_back(sender: faust.App) -> None:
    sensor = Sends()
    sender.sensors.add(sensor)
    topic = sender.topic("out", value_type=bytes)
    for value in (b"1", b"2", b"3"):
        await (await topic.send(value=value))

    assert sensor.begun == sensor.ended == [b"1", b"2", b"3"]


async def test_a_sensor_that_is_added_later_is_told_from_then_on(sender: faust.App) -> None:
    topic = sender.topic("out", value_type=bytes)
    for value in (b"1", b"2"):
        await (await topic.send(value=value))
    sensor = Sends()
    sender.sensors.add(sensor)
    await (await topic.send(value=b"3"))

    assert sensor.begun == sensor.ended == [b"3"]


async def test_the_callback_of_a_message_is_called_when_redis_has_it(sender: faust.App) -> None:
    topic = sender.topic("out", value_type=bytes)
    called: list[int] = []

    def note(message: FutureMessage) -> None:
        called.append(message.result().offset)

    for _ in range(2):
        await (await topic.send(value=b"1", partition=0, callback=note))
    await eventually(lambda: called == [1, 2], "both callbacks")


async def test_a_message_to_a_partition_that_does_not_exist_is_refused(sender: faust.App) -> None:
    topic = sender.topic("out", value_type=bytes)
    await (await topic.send(value=b"1"))

    with pytest.raises(ProducerSendError, match="2 partitions, but no partition 7"):
        await topic.send(value=b"2", partition=7)


async def test_key_value_headers_and_time_arrive_as_they_were_sent(
    sender: faust.App, notes: redis.Redis
) -> None:
    topic = sender.topic("out", key_type=str, value_type=str, value_serializer="raw")
    for _ in range(2):
        await (await topic.send(key="k", value="v", headers={"h": b"1"}, timestamp=12.5, partition=0))

    first, second = (fields for _, fields in cast("list[Any]", notes.xrange("{out:0}")))
    assert first == second
    assert (first["k"], first["v"], first["t"]) == ("k", "v", "12500")
    assert "h" in first


async def test_what_no_serializer_makes_bytes_of_is_refused_and_holds_up_nothing(sender: faust.App) -> None:
    topic = sender.topic("out", value_serializer="raw")
    await (await topic.send(value=b"1"))

    for value in ({"a": 1}, 5):
        with pytest.raises(TypeError, match="have to be bytes"):
            await topic.send(value=value)
    await asyncio.wait_for(await topic.send(value=b"2"), 30)


@pytest.mark.parametrize("headers", [{"h": b"1"}, [("h", b"1")], (("h", b"1"),)])
async def test_headers_may_be_of_any_kind(sender: faust.App, notes: redis.Redis, headers: Any) -> None:
    topic = sender.topic("out", value_type=bytes)
    for _ in range(2):
        await (await topic.send(value=b"1", headers=headers, partition=0))

    first, second = (fields for _, fields in cast("list[Any]", notes.xrange("{out:0}")))
    assert first["h"] == second["h"] == "\x00\x00\x00\x01h\x00\x00\x00\x011"


class Order(faust.Record):
    amount: int


ORDER = f'{{"amount":7,"__faust":{{"ns":"{__name__}.Order"}}}}'


@pytest.mark.parametrize(
    ("key", "value", "sent"),
    [
        (None, None, {"v": "null"}),
        (b"k", b"", {"k": "k", "v": ""}),
        ("k", Order(amount=7), {"k": "k", "v": ORDER}),
        ("k", [1, "a"], {"k": "k", "v": '[1,"a"]'}),
    ],
)
async def test_keys_and_values_are_serialized_as_ever(
    sender: faust.App, notes: redis.Redis, key: Any, value: Any, sent: dict[str, str]
) -> None:
    topic = sender.topic("out")
    for _ in range(2):
        await (await topic.send(key=key, value=value, partition=0))

    for _, fields in cast("list[Any]", notes.xrange("{out:0}")):
        assert {name: field for name, field in fields.items() if name != "t"} == sent


async def test_a_sensor_that_raises_holds_up_no_message(sender: faust.App) -> None:
    class Careless(Sends):
        def on_send_completed(self, producer: Any, state: Any, metadata: Any) -> None:
            super().on_send_completed(producer, state, metadata)
            raise ValueError(state)

    sensor = Careless()
    sender.sensors.add(sensor)
    topic = sender.topic("out", value_type=bytes)
    for value in (b"1", b"2", b"3"):
        await asyncio.wait_for(await topic.send(value=value), 30)

    await eventually(lambda: sensor.ended == [b"1", b"2", b"3"], "every message to be told")


async def test_a_step_that_is_set_on_the_sensor_itself_is_called(sender: faust.App) -> None:
    sensor = faust.Sensor()
    values: list[Any] = []
    sensor.on_send_initiated = (  # type: ignore[method-assign]
        lambda producer, topic, message, keysize, valsize: values.append(message.value)
    )
    sender.sensors.add(Sends())
    sender.sensors.add(sensor)
    topic = sender.topic("out", value_type=bytes)
    for value in (b"1", b"2"):
        await (await topic.send(value=value))

    assert values == [b"1", b"2"]


async def test_a_sensor_and_who_waits_are_told_of_a_message_that_redis_refuses(
    sender: faust.App, notes: redis.Redis
) -> None:
    refused: list[Any] = []

    class Errors(Sends):
        def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
            refused.append(state)

    sender.sensors.add(Errors())
    topic = sender.topic("out", value_type=bytes)
    await (await topic.send(value=b"1", partition=0))
    notes.set("{out:1}", "no stream")

    with pytest.raises(ProducerSendError, match="WRONGTYPE"):
        await (await topic.send(value=b"2", partition=1))
    assert refused == [b"2"]


async def test_a_producer_stops_though_nobody_waits_for_its_message_any_more(
    own_redis: RedisServer,
) -> None:
    app = faust.App("sender", broker=own_redis.url, topic_partitions=1)
    topic = app.topic("out", value_type=bytes)
    await app.maybe_start_producer()
    await (await topic.send(value=b"1"))
    assert own_redis.process is not None
    own_redis.process.kill()
    own_redis.process.wait()
    confirmed = cast("asyncio.Future[Any]", await topic.send(value=b"2"))
    confirmed.cancel()

    await app.producer.stop()


async def test_a_topic_of_the_programs_own_class_stays_what_it_is(sender: faust.App) -> None:
    topic = OwnTopic(sender, topics=["out"], value_type=bytes)
    for _ in range(2):
        await (await topic.send(value=b"1"))

    assert type(topic) is OwnTopic


async def test_a_topic_with_a_way_of_its_own_to_make_keys_keeps_it(
    sender: faust.App, notes: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = sender.topic("out", key_type=bytes, value_type=bytes)
    monkeypatch.setattr(topic, "prepare_key", lambda key, *_: (key.upper(), []))
    for _ in range(2):
        await (await topic.send(key=b"k", value=b"1", partition=0))

    assert [fields["k"] for _, fields in cast("list[Any]", notes.xrange("{out:0}"))] == ["K", "K"]


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
