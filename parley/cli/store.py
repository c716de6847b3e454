"""The Redis that a command uses: the configured one, or else the running embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from parley.local.embedded import running_of
from pipeline.redis.client import connect
from pipeline.settings import Settings


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[Redis]:
    """Connect for the duration of the block.

    Raises:
        EmbeddedRedisError: none is configured, and no embedded one runs.
    """
    configured = settings.redis_configured
    redis = connect(settings.redis_url if configured else running_of(settings.data_dir, settings.port).url)
    try:
        yield redis
    finally:
        await redis.aclose()
