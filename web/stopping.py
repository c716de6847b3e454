"""Stopping an answer: from any socket of its session, wherever its turn is."""

from __future__ import annotations

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from pipeline.messages import INTERNAL_ERROR
from pipeline.session_replies import Stopped
from pipeline.stops import announce_stop
from web import keys, limits
from web.protocol import Refusal

log = structlog.get_logger(__name__)

_FAILED = "The answer could not be stopped; try again."


async def stop(app: web.Application, token: str, turn: str | None) -> Refusal | None:
    """Stop the running turn of a session, or only the turn given; nothing happens when there is none.

    Returns:
        What to tell the client when it did not work.
    """
    try:
        stopped = await app[keys.SESSIONS].stop(token, turn)
        if isinstance(stopped, Stopped):
            if not stopped.running:
                # It is on its way between the stages, and may be for long: no worker has to come to it first.
                await app[keys.PRODUCER].end_stopped(token, stopped.turn)
            await announce_stop(app[keys.REDIS], token, stopped.turn, patience=limits.REDIS_PATIENCE_SECONDS)
    except (RedisError, OSError) as exc:
        log.warning("an answer could not be stopped", error=repr(exc))
        return Refusal(INTERNAL_ERROR, _FAILED)
    return None
