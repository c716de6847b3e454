"""Compare PARTITIONS with the topics that Redis has recorded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from redis.exceptions import RedisError

from pipeline.errors import SettingsError
from pipeline.settings import STAGES, Settings

__all__ = ["require_recorded_partitions"]

#: Seconds to wait for a Redis that is not the embedded one; if it is away, the agents wait for it.
_PATIENCE_SECONDS: Final = 2.0


async def require_recorded_partitions(url: str, settings: Settings) -> None:
    """Check that the topics in Redis have the configured number of partitions; pass if Redis is away.

    Raises:
        SettingsError: they have another number.
    """
    # Imported here, because that takes a second, in which ``parley up`` starts its fork server.
    from faust_redis import Inspector
    from pipeline.redis.client import connect

    redis = connect(url)
    recorded: set[int] = set()
    try:
        with suppress(RedisError, OSError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                inspector = Inspector(redis)
                topics = await asyncio.gather(*(inspector.topic(stage) for stage in STAGES))
                recorded = {topic.partitions for topic in topics if topic is not None}
    finally:
        await redis.aclose()
    others = recorded - {settings.partitions}
    if others:
        raise wrong_partitions(settings.partitions, max(others))


def wrong_partitions(chosen: int, recorded: int) -> SettingsError:
    """Return the error for a number that differs from the recorded one."""
    allowed = f"{recorded}, with which the topics in Redis were created; another number needs an empty Redis"
    return SettingsError("PARTITIONS", str(chosen), allowed)
