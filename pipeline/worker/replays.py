"""Dead letters that come back: a message that ended with an error is tried again, if its session still waits.

A replayed message finds its turn closed, as its sender has got an error. If nothing was said since, the turn
is opened anew, as when the user asks for another answer; else the session has gone on, and an answer now
would stand in the wrong place.
"""

from __future__ import annotations

import logging
import time
import uuid

from pipeline.chat.records import Inbound, Prompt, Turn, TurnOutcome
from pipeline.chat.sessions import Revival, Sessions
from pipeline.worker.topics import Sender, message_id, send

logger = logging.getLogger(__name__)

REPLAYED_HEADER = "replayed"
"""Header of a message that was a dead letter; the transport sets it."""


async def revive(sessions: Sessions, ingest: Sender, message: Inbound | Turn | Prompt | TurnOutcome) -> bool:
    """Make way for a replayed message; return whether its stage should handle it as it is."""
    turn = message_id(message)
    match await sessions.revive(message.token, turn):
        case Revival.OPEN | Revival.FORGOTTEN:
            return True
        case Revival.UNANSWERED:
            again = Inbound(
                token=message.token, id=str(uuid.uuid4()), text="", sent_at=time.time(), regenerate=True
            )
            await send(ingest, again)
        case Revival.PAST:
            logger.warning("turn %s is not tried again: its session has gone on, or is gone", turn)
    return False
