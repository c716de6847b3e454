"""ingest: takes a message into its session.

`Inbound` from the topic `ingest`. The message gets its turn, which goes to `enrich`; or it waits for the
turns before it, and deliver will open its own; or it is refused, which the client is told.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from pipeline.app import Stage, attempt, fail_turn
from pipeline.messages import SESSION_EXPIRED, Inbound, Turn, error_frame
from pipeline.sessions import Duplicate, Gone, Opened, Queued, Refused
from pipeline.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("ingest")
app = stage.app


@app.agent(stage.inputs.ingest)
async def ingest(stream: Any) -> None:
    """Handle one message after the other."""
    async for event in stream.events():
        await attempt(event, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, inbound: Inbound, entry: str) -> None:
    """Take one message into its session."""
    accepted = await stage.sessions.accept(inbound, entry)
    match accepted:
        case Opened(turn):
            await send(stage.topics.enrich, Turn(token=inbound.token, turn=turn))
        case Refused(_, frame):
            await stage.presence.publish([(inbound.token, frame)])
        case Gone():
            frame = error_frame(inbound.id, SESSION_EXPIRED)
            await stage.presence.publish([(inbound.token, frame)])
        case Queued() | Duplicate():
            logger.debug("message %s: %s", inbound.id, accepted)


async def give_up(stage: Stage, inbound: Inbound, _entry: str) -> None:
    """Have the client told that its message failed."""
    await fail_turn(stage, inbound.token, inbound.id)
