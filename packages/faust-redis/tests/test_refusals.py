"""What Redis refuses, for a while or for good: no message is lost for it, and no worker ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import cast

import faust
import pytest
from faust.exceptions import ProducerSendError
from faust.types import TP, StreamT
from redis.asyncio import Redis

from faust_redis import DeadLetters, Options, configure
from faust_redis.consuming.consumer import Consumer
from faust_redis.testing import HOST, RedisServer, eventually, wait_until
from tests.apps import MakeApp, answer_doubles, collect_values, command, is_empty, running, send_all
from tests.worker import StartWorker


async def values_in(client: Redis, topic: str) -> list[bytes]:
    entries = await command(client, "XRANGE", f"{{{topic}:0}}", "-", "+")
    return [fields[b"v"] for _, fields in entries]


def doubling(app: faust.App) -> list[int]:
    """Have an agent send the double of what is in ``in`` to ``out``; return what it is given."""
    outputs = app.topic("out")
    got: list[int] = []

    @app.agent(app.topic("in"))
    async def double(stream: StreamT[int]) -> None:
        async for value in stream:
            got.append(value)
            await outputs.send(value=value * 2)

    return got


@pytest.mark.parametrize("right", ["xadd", "xreadgroup", "xack", "evalsha", "@all"])
async def test_a_right_that_is_withdrawn_for_a_while_costs_nothing(
    make_app: MakeApp, own_redis: RedisServer, admin: Redis, right: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(broker=own_redis.url.replace("redis://", "redis://ada:sesame@"))
    got = doubling(app)
    sender = faust.App("sender", broker=own_redis.url, topic_partitions=1)
    await sender.maybe_start_producer()
    inputs = sender.topic("in")

    async with running(app):
        await send_all(inputs, 1)
        await eventually(lambda: got == [1], "the first")
        await command(admin, "ACL", "SETUSER", "ada", f"-{right}")
        await send_all(inputs, 2, 3)
        await eventually(lambda: "permission" in caplog.text or "ACL failure" in caplog.text, "a word on it")
        await command(admin, "ACL", "SETUSER", "ada", f"+{right}")

        await eventually(lambda: set(got) == {1, 2, 3}, "the others")
        await eventually(is_empty(admin, "in"), "their acks")
        assert set(await values_in(admin, "out")) == {b"2", b"4", b"6"}
    await sender.producer.stop()


@pytest.mark.slow
async def test_a_partition_that_is_no_stream_holds_up_no_other(make_app: MakeApp, streams: Redis) -> None:
    app = make_app(topic_partitions=2)
    topic = app.topic("in")
    got = collect_values(app, topic)

    async with running(app):
        await (await topic.send(value=1, partition=0))
        await eventually(lambda: got == [1], "the first")
        await streams.set("{in:1}", "no stream")
        await (await topic.send(value=2, partition=0))
        await eventually(lambda: got == [1, 2], "the second")

        await streams.delete("{in:1}")
        await (await topic.send(value=3, partition=1))
        await eventually(lambda: got == [1, 2, 3], "the third")


@pytest.mark.slow
async def test_an_event_whose_output_is_refused_for_good_comes_again(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    topic = app.topic("in")
    got = doubling(app)

    async with running(app):
        await send_all(topic, 1)
        await eventually(is_empty(streams, "in"), "the first to be acked")
        await streams.delete("{out:0}")
        await streams.set("{out:0}", "no stream")
        await send_all(topic, 2)
        await eventually(lambda: got.count(2) > 1, "the second to come again")

        await streams.delete("{out:0}")
        await eventually(is_empty(streams, "in"), "the second to be acked")
        assert await values_in(streams, "out") == [b"4"]


@pytest.mark.slow
async def test_an_event_whose_output_is_refused_each_time_is_a_dead_letter(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    configure(app, Options(backoff=(0.01,)))
    doubling(app)
    await streams.set("{out:0}", "no stream")

    async with running(app):
        await send_all(app.topic("in"), 1)
        await eventually(is_empty(streams, "in"), "the event to be given up")
    (letter,) = await DeadLetters(streams).page(["in"])
    assert letter.attempts == 5
    assert "WRONGTYPE" in letter.error


async def test_an_agent_that_looks_at_what_became_of_its_output_decides_itself(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app()
    inputs, outputs = app.topic("in"), app.topic("out")
    got: list[int] = []
    refused: list[str] = []

    @app.agent(inputs)
    async def double(stream: StreamT[int]) -> None:
        async for value in stream:
            got.append(value)
            try:
                await (await outputs.send(value=value * 2))
            except ProducerSendError as error:
                refused.append(str(error))

    async with running(app):
        await send_all(inputs, 1)
        await eventually(is_empty(streams, "in"), "the first to be acked")
        await streams.delete("{out:0}")
        await streams.set("{out:0}", "no stream")
        await send_all(inputs, 2)
        await eventually(is_empty(streams, "in"), "the second to be acked")

        await send_all(inputs, 3)
        await eventually(is_empty(streams, "in"), "the third to be acked")
        assert got == [1, 2, 3]
        assert len(refused) == 2


async def test_a_message_too_large_for_redis_is_refused_alone(own_redis: RedisServer, admin: Redis) -> None:
    app = faust.App("sender", broker=own_redis.url, topic_partitions=1)
    topic = app.topic("out", value_serializer="raw")
    await app.maybe_start_producer()
    await (await topic.send(value=b"0"))
    await command(admin, "CONFIG", "SET", "proto-max-bulk-len", 1024 * 1024)
    sent = [await topic.send(value=value) for value in (b"1", b"x" * 5_000_000, b"2")]
    first, refused, last = await asyncio.gather(*sent, return_exceptions=True)
    await app.producer.stop()

    assert isinstance(refused, ProducerSendError)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert await values_in(admin, "out") == [b"0", b"1", b"2"]


@pytest.mark.slow
async def test_a_lease_that_redis_has_lost_is_taken_again(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = app.topic("in")
    got = doubling(app)

    async with running(app):
        await send_all(topic, 1)
        await eventually(is_empty(streams, "in"), "the first to be acked")
        await streams.delete("{in:0}:lease:streams")
        await send_all(topic, 2)

        await eventually(is_empty(streams, "in"), "the second to be acked")
        assert set(got) == {1, 2}


@pytest.mark.parametrize("name", ["members", "heartbeats", "released", "plan", "state", "signal"])
async def test_a_group_that_has_lost_a_key_goes_on(make_app: MakeApp, streams: Redis, name: str) -> None:
    app = make_app()
    topic = app.topic("in")
    got = doubling(app)

    async with running(app):
        consumer = cast(Consumer, app.consumer)
        await streams.delete(f"faust:{{streams}}:{name}")
        await eventually(lambda: consumer.member.may_read, "the worker to be a member")
        await send_all(topic, 1)
        await eventually(lambda: got == [1], "the event")
        await eventually(is_empty(streams, "in"), "its ack")


@pytest.mark.slow
async def test_acks_for_a_stream_that_is_gone_end_nobody(make_app: MakeApp, streams: Redis) -> None:
    app = make_app()
    topic = app.topic("in")
    got: list[int] = []
    may_finish = asyncio.Event()

    @app.agent(topic)
    async def work(stream: StreamT[int]) -> None:
        async for value in stream:
            got.append(value)
            await may_finish.wait()

    async with running(app):
        await send_all(topic, 1)
        await eventually(lambda: got == [1], "the first")
        await streams.delete("{in:0}")
        may_finish.set()
        await send_all(topic, 2)

        await eventually(lambda: 2 in got, "the second")
        await eventually(is_empty(streams, "in"), "its ack")


@pytest.mark.slow
async def test_a_reply_topic_that_has_expired_is_read_from_its_new_beginning(
    make_app: MakeApp, streams: Redis
) -> None:
    app = make_app(reply_to="replies", reply_create_topic=True)
    double = answer_doubles(app)

    async with running(app):
        for value in (1, 2, 3):
            assert await double.ask(value) == value * 2
        await streams.delete("{replies:0}")

        async with asyncio.timeout(60):
            assert await double.ask(4) == 8


@pytest.mark.slow
async def test_a_log_that_grows_while_its_end_is_looked_up_has_not_started_over(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(reply_to="replies", reply_create_topic=True)
    double = answer_doubles(app)

    async with running(app):
        consumer = cast(Consumer, app.consumer)
        assert await double.ask(1) == 2
        end_of = consumer.offsets.end_of

        async def end_of_a_moment_ago(tp: TP) -> int:
            end = await end_of(tp)
            assert await double.ask(2) == 4
            return end

        monkeypatch.setattr(consumer.offsets, "end_of", end_of_a_moment_ago)
        await consumer.offsets.restart_shortened_logs()

    assert "starts over" not in caplog.text


def test_a_worker_waits_for_a_redis_that_is_not_there_yet_and_says_so(
    own_redis: RedisServer, start_worker: StartWorker, redis_url: str
) -> None:
    assert own_redis.process is not None
    own_redis.process.kill()
    own_redis.process.wait()
    worker = start_worker(own_redis.url, ready=False, notes_url=redis_url)
    wait_until(lambda: "Redis is away" in worker.printed(), "a word on it")

    own_redis.spawn()
    own_redis.wait_ready()
    worker.wait_ready()


def test_a_worker_that_waits_for_redis_can_be_stopped(start_worker: StartWorker, redis_url: str) -> None:
    with socket.socket() as nobody:
        nobody.bind((HOST, 0))
        url = f"redis://{HOST}:{nobody.getsockname()[1]}/0"
        worker = start_worker(url, ready=False, notes_url=redis_url)
        wait_until(lambda: "Redis is away" in worker.printed(), "a word on it")
        worker.signal(signal.SIGTERM)
        wait_until(lambda: worker.process.poll() is not None, "the worker to end", timeout=45)
