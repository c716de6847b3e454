"""Stop an answer from any socket of its session, in whichever stage its turn is."""

from __future__ import annotations

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from pipeline.chat.records import INTERNAL_ERROR
from pipeline.chat.results import Stale, Stopped
from pipeline.chat.stop_signals import announce_stop
from pipeline.errors import describe_error
from web import keys, limits
from web.chat.outbox import Outbox
from web.chat.protocol import Refusal, refusal_as_frame

log = structlog.get_logger(__name__)

_FAILED = "The answer could not be stopped; try again."


async def stop(app: web.Application, outbox: Outbox, turn: str | None) -> None:
    """Stop the running turn of a session, or only the turn named; the client gets a frame only on failure."""
    token = outbox.token
    try:
        stopped = await app[keys.SESSIONS].stop(token, turn)
        if isinstance(stopped, Stale):
            outbox.stop_when_accepted(turn)
        if isinstance(stopped, Stopped):
            if not stopped.running:
                # The turn may wait long for a worker, so it is ended directly.
                await app[keys.PRODUCER].end_stopped(token, stopped.turn)
            await announce_stop(app[keys.REDIS], token, stopped.turn, patience=limits.REDIS_PATIENCE_SECONDS)
    except (RedisError, OSError) as exc:
        log.warning("stopping an answer failed; its client gets an error", error=describe_error(exc))
        outbox.tell(refusal_as_frame(Refusal(INTERNAL_ERROR, _FAILED)))
