"""Sessions in a real Redis, and what works on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from pipeline.chat.answer_runs import Runs
from pipeline.chat.node_stream import NodeStream
from pipeline.chat.presence import Presence
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.sessions import Sessions
from pipeline.settings import Settings
from tests.pipeline.chat.losses import Lost
from tests.pipeline.chat.talk import Talk
from tests.support.slow_disk import SlowDiskRedis

# Long enough for a message to be accepted while an fsync runs.
FSYNC_SECONDS = 0.7


@pytest.fixture
def sessions(redis: Redis, redis_url: str) -> Sessions:
    """Sessions in each of which two messages may wait."""
    return Sessions(redis, Settings(redis_url=redis_url, inbox_limit=2))


@pytest.fixture
def presence(redis: Redis) -> Presence:
    return Presence(redis)


@pytest.fixture
async def runs(redis: Redis, presence: Presence) -> AsyncIterator[Runs]:
    made = Runs(redis, presence)
    yield made
    await made.stop()


@pytest.fixture
async def token(sessions: Sessions) -> str:
    """The token of a new session."""
    return (await sessions.create("Ada"))["token"]


@pytest.fixture
def talk(sessions: Sessions, token: str) -> Talk:
    """A new session."""
    return Talk(sessions, token)


@pytest.fixture
async def reader(redis: Redis) -> AsyncIterator[NodeStream]:
    """The stream of a web node, which exists."""
    stream = NodeStream(redis, "n1")
    assert await stream.renew()
    yield stream
    await stream.close()


@pytest.fixture
def repairable(redis: Redis, redis_url: str) -> RepairableSessions:
    """The same sessions, with the operations that repair them."""
    return RepairableSessions(redis, Settings(redis_url=redis_url, inbox_limit=2))


@pytest.fixture(scope="module")
def slow_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowDiskRedis]:
    """A Redis on a slow disk."""
    with SlowDiskRedis(tmp_path_factory.mktemp("slow"), FSYNC_SECONDS) as server:
        yield server


@pytest.fixture
def lost(repairable: RepairableSessions, token: str, redis: Redis) -> Lost:
    """A session that can lose its second message."""
    return Lost(repairable, token, redis)
