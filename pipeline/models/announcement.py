"""Announce the model of the infer workers to the web processes, which have no token and thus may not know it.

stage:{infer}:model   string, JSON: ``kind`` and ``name`` of the model; expires when no infer worker renews it
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, TypedDict, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.errors import describe_error
from pipeline.redis.client import execute
from pipeline.settings import ModelKind, Settings

logger = logging.getLogger(__name__)

_KEY: Final = "stage:{infer}:model"
#: Seconds between two renewals, and for which an announcement lives.
INTERVAL: Final = 30.0
_TTL: Final = 120


class ModelName(TypedDict):
    """The model as users see it.

    Attributes:
        kind: its protocol, a value of MODEL_KIND.
        name: its name; None when the server has only one.
    """

    kind: ModelKind
    name: str | None


def configured_model(settings: Settings) -> ModelName:
    """Return the model of a process's own settings."""
    name = "ELIZA" if settings.model_kind == "eliza" else settings.model
    return {"kind": settings.model_kind, "name": name}


async def keep_announcing(redis: Redis, settings: Settings) -> None:
    """Announce the model until cancelled; failures are repeated."""
    while True:
        try:
            await execute(redis, "SET", _KEY, orjson.dumps(configured_model(settings)), "EX", _TTL)
        except (RedisError, OSError) as exc:
            logger.debug("announcing the model failed: %s", describe_error(exc))
        await asyncio.sleep(INTERVAL)


async def announced_model(redis: Redis) -> ModelName | None:
    """Return the model that the infer workers announced, None when there is none.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    raw = await execute(redis, "GET", _KEY)
    return None if raw is None else cast(ModelName, orjson.loads(raw))
