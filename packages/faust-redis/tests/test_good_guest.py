"""Starting an app changes nothing for the rest of its process."""

from __future__ import annotations

import gc
import logging
from typing import Any

import faust
from faust.sensors.monitor import Monitor
from redis.asyncio import Redis

from faust_redis import Options, configure
from faust_redis.consuming.streams import BatchingStream
from faust_redis.joins.streams import JoiningStream
from faust_redis.testing import eventually


async def forwarded(app: Any, streams: Redis) -> None:
    """Run an app until an event has passed its agent."""
    source, target = app.topic("in"), app.topic("out")

    async def forward(stream: Any) -> None:
        async for value in stream:
            await target.send(value=value)

    app.agent(source)(forward)
    app.finalize()
    await app.start()
    try:
        await eventually(lambda: app.consumer.assignment(), "the partitions")
        await source.send(value=1)

        async def arrived() -> bool:
            return bool(await streams.exists("{out:0}"))

        await eventually(arrived, "the event")
    finally:
        await app.stop()


def is_of_transport(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("faust_redis")


def process_state() -> tuple[Any, ...]:
    """Return what a careless guest would change."""
    return (
        gc.get_threshold(),
        gc.get_freeze_count(),
        gc.isenabled(),
        logging.getLogger("faust.topics").level,
        logging.getLogger("faust").level,
        *(dict(vars(kind)) for kind in (faust.App, faust.Topic, faust.Stream, Monitor)),
    )


async def test_starting_an_app_changes_nothing_process_wide(redis_url: str) -> None:
    other = faust.App("other", broker="redis://127.0.0.1:1")
    stream_class = other.conf.Stream
    before = process_state()
    app: Any = faust.App("guest", broker=redis_url, topic_partitions=1, web_enabled=False)
    own = dict(vars(app))

    async with Redis.from_url(redis_url) as streams:
        await forwarded(app, streams)

    assert process_state() == before
    assert other.conf.Stream is stream_class
    added = {name: vars(app)[name] for name in vars(app).keys() - own.keys()}
    assert not [name for name, value in added.items() if callable(value) and is_of_transport(value)]


async def test_without_the_fast_path_an_app_runs_on_streams_and_topics_of_faust(redis_url: str) -> None:
    app: Any = faust.App("long", broker=redis_url, topic_partitions=1, web_enabled=False)
    configure(app, Options(fast_path=False))

    async with Redis.from_url(redis_url) as streams:
        await forwarded(app, streams)

    # Faust's stream, but for batches that outlive an event which cannot be decoded, and for joins.
    assert app.conf.Stream is JoiningStream
    assert JoiningStream.__base__ is BatchingStream
    assert BatchingStream.__base__ is faust.Stream
    assert type(app.topics).__name__ == "Conductor"
    assert {type(topic) for topic in app.topics} == {faust.Topic}
