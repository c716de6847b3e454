"""Handle replayed dead letters: try a message again if its session still lacks the answer.

The turn of a replayed message is closed, because its sender has got an error. Unless later messages follow,
the message gets a new turn, as for a request to regenerate; otherwise an answer would stand in the wrong
place of the history.
"""

from __future__ import annotations

import logging
import time
import uuid

from pipeline.chat.records import Inbound, Prompt, Turn, TurnOutcome
from pipeline.chat.results import Revival
from pipeline.chat.sessions import Sessions
from pipeline.worker.topics import Sender, message_id, send

logger = logging.getLogger(__name__)

REPLAYED_HEADER = "replayed"
"""Header that the transport adds to a replayed dead letter."""


async def revive(sessions: Sessions, ingest: Sender, message: Inbound | Turn | Prompt | TurnOutcome) -> bool:
    """Prepare a replayed message for another try; return whether its stage should handle it unchanged."""
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
            logger.warning("turn %s is not tried again: its session has later messages or has expired", turn)
    return False
