"""The Redis that a command uses: the configured one, or else the running embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from parley.local.embedded import running_of
from pipeline.redis.client import connect
from pipeline.settings import Settings


def url_of(settings: Settings) -> str:
    """Return the URL of the Redis to use.

    Raises:
        EmbeddedRedisError: none is configured, and no embedded one runs.
    """
    if settings.redis_configured:
        return settings.redis_url
    return running_of(settings.data_dir, settings.port).url


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[Redis]:
    """Connect for the duration of the block.

    Raises:
        EmbeddedRedisError: none is configured, and no embedded one runs.
    """
    redis = connect(url_of(settings))
    try:
        yield redis
    finally:
        await redis.aclose()
