"""Sessions in a real Redis, and what works on them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from pipeline.chat.answer_runs import Runs
from pipeline.chat.presence import Presence
from pipeline.chat.sessions import Sessions
from pipeline.settings import Settings
from tests.pipeline.chat.talk import Talk


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
