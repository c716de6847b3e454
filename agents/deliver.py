"""deliver: closes a turn.

Reads ``TurnOutcome`` from the topic ``deliver``. The answer goes into the history and, as a frame, to the web
nodes that hold the session's sockets. The next waiting message opens its turn, which goes to ``enrich``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from faust_redis import batches
from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import INTERNAL_ERROR, SESSION_EXPIRED, Frame, Turn, TurnOutcome, error_frame
from pipeline.chat.results import Closed, Gone, Stale
from pipeline.worker.batches import Batch, run_batch
from pipeline.worker.stage import Stage, give_up_killers
from pipeline.worker.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("deliver")
app = stage.app


@app.agent(stage.inputs.deliver)
async def deliver(stream: Any) -> None:
    """Handle the outcomes that have arrived together, and those of one session in order."""
    async for events in batches(stream):
        await run_batch(stage, events, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, batch: Batch[TurnOutcome]) -> None:
    """Close turns, and send their frames and the next turns."""
    results = await stage.sessions.close_all(batch.received)
    frames: list[tuple[str, SubscriberNodes, Frame]] = []
    for (outcome, _), result in zip(batch.received, results, strict=True):
        match result:
            case Closed(frame):
                frames.append((outcome.token, result.subscribers, frame))
            case Gone():
                frame = error_frame(outcome.turn, SESSION_EXPIRED)
                frames.append((outcome.token, result.subscribers, frame))
            case Stale():
                logger.debug("turn %s was closed before", outcome.turn)
    # The frames go first, or a fast next turn could begin on a socket before this one has ended there.
    await stage.presence.publish_to(frames)
    for outcome, _, result in batch.with_results(results):
        if isinstance(result, Closed) and result.next_turn is not None:
            await send(stage.topics.enrich, Turn(token=outcome.token, turn=result.next_turn))


async def give_up(stage: Stage, outcome: TurnOutcome, entry: str) -> None:
    """Close the turn with an error; if that fails as well, send the error to the client only."""
    logger.error("giving up turn %s of session %.8s…", outcome.turn, outcome.token)
    try:
        failed = TurnOutcome(token=outcome.token, turn=outcome.turn, error=INTERNAL_ERROR)
        await handle(stage, Batch.of(failed, entry))
    except Exception:
        logger.exception("turn %s stays open; its session is stuck until it expires", outcome.turn)
        await stage.presence.publish([(outcome.token, error_frame(outcome.turn, INTERNAL_ERROR))])


give_up_killers(stage, stage.inputs.deliver, partial(give_up, stage))
