"""A process prepares itself, so that its first message is as fast as all others."""

from __future__ import annotations

import uuid
from typing import Any

from redis.asyncio import Redis

from faust_redis import prepare
from pipeline.chat.records import Inbound
from pipeline.chat.results import Opened
from pipeline.chat.sessions import Sessions
from pipeline.settings import Settings
from pipeline.worker.stage import create_producer
from pipeline.worker.topics import Topics


async def calls(redis: Redis, command: str) -> int:
    """Return how often a command was called since the statistics began."""
    found = await redis.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_the_first_message_of_a_prepared_process_carries_no_script(
    redis: Redis, redis_url: str
) -> None:
    await redis.script_flush()
    sessions = Sessions(redis, Settings(redis_url=redis_url))
    await sessions.prepare()
    await redis.config_resetstat()
    token = (await sessions.create("Ada"))["token"]
    inbound = Inbound(token=token, id=str(uuid.uuid4()), text="Hi", sent_at=0.0)
    assert isinstance(await sessions.accept(inbound), Opened)
    assert await calls(redis, "evalsha") == 2
    assert await calls(redis, "eval") == 0


async def test_a_prepared_producer_asks_nothing_about_a_topic_when_a_message_comes(
    redis: Redis, redis_url: str
) -> None:
    app = create_producer(Settings(redis_url=redis_url))
    topics = Topics(app)
    try:
        await prepare(app, (topics.ingest,))
        await redis.config_resetstat()
        inbound = Inbound(token=str(uuid.uuid4()), id="1", text="Hi", sent_at=0.0)
        await (await topics.ingest.send(key=inbound.token.encode(), value=inbound))
        assert await calls(redis, "evalsha") == 1  # which adds the message
    finally:
        await app.producer.stop()
        transport: Any = app.transport
        await transport.context.server.aclose()
