"""deliver: closes a turn.

Reads ``TurnOutcome`` from the topic ``deliver``. The answer goes into the history and, as a frame, to the web
nodes that hold the session's sockets. The next waiting message opens its turn, which goes to ``enrich``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from pipeline.chat.records import INTERNAL_ERROR, SESSION_EXPIRED, Turn, TurnOutcome, error_frame
from pipeline.chat.results import Closed, Gone, Stale
from pipeline.worker.keyed_lock import AT_ONCE, in_order
from pipeline.worker.stage import Stage, give_up_killers, run_with_retries
from pipeline.worker.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("deliver")
app = stage.app


@app.agent(stage.inputs.deliver, concurrency=AT_ONCE)
async def deliver(stream: Any) -> None:
    """Handle the outcomes of many sessions at once, and those of one session in order."""
    async for event in stream.events():
        async with in_order(event):
            await run_with_retries(stage, event, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, outcome: TurnOutcome, entry: str) -> None:
    """Close one turn, and send its frame and the next turn."""
    closed = await stage.sessions.close(outcome, entry)
    match closed:
        case Closed(frame, next_turn, subscribers):
            # The frame goes first, or a fast next turn could begin on a socket before this one has ended
            # there.
            await stage.presence.publish_to([(outcome.token, subscribers, frame)])
            if next_turn is not None:
                await send(stage.topics.enrich, Turn(token=outcome.token, turn=next_turn))
        case Gone(subscribers):
            frame = error_frame(outcome.turn, SESSION_EXPIRED)
            await stage.presence.publish_to([(outcome.token, subscribers, frame)])
        case Stale():
            logger.debug("turn %s was closed before", outcome.turn)


async def give_up(stage: Stage, outcome: TurnOutcome, entry: str) -> None:
    """Close the turn with an error; if that fails as well, send the error to the client only."""
    logger.error("giving up turn %s of session %.8s…", outcome.turn, outcome.token)
    try:
        await handle(stage, TurnOutcome(token=outcome.token, turn=outcome.turn, error=INTERNAL_ERROR), entry)
    except Exception:
        logger.exception("turn %s stays open; its session is stuck until it expires", outcome.turn)
        await stage.presence.publish([(outcome.token, error_frame(outcome.turn, INTERNAL_ERROR))])


give_up_killers(stage, stage.inputs.deliver, partial(give_up, stage))
