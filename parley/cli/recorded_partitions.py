"""``parley recorded-partitions``: how many partitions Redis has recorded for the topics of the stages."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import click
from redis.exceptions import RedisError

from faust_redis import Inspector
from pipeline.redis.client import connect
from pipeline.settings import STAGES, Settings

#: Seconds to wait for a Redis that is not the embedded one; if it is away, the agents wait for it.
_PATIENCE_SECONDS: Final = 2.0


def run(settings: Settings) -> None:
    """Print each number in a line of its own; none if Redis is away, or has no topics."""
    for number in sorted(asyncio.run(_recorded(settings.redis_url))):
        click.echo(number)


async def _recorded(url: str) -> set[int]:
    redis = connect(url)
    try:
        with suppress(RedisError, OSError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                inspector = Inspector(redis)
                topics = await asyncio.gather(*(inspector.topic(stage) for stage in STAGES))
                return {topic.partitions for topic in topics if topic is not None}
    finally:
        await redis.aclose()
    return set()
