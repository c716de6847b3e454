"""Build the arguments of the script that puts a lost message back, and decode its reply; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import BOT, HUMAN, Frame, Inbound
from pipeline.chat.results import Closed, Gone, Missing, Queued, Stale
from pipeline.chat.session_scripts import close_result, edited_id
from pipeline.redis.scripts import Code


def inbound_of(
    token: str, message_id: str, msg: str, regenerate: bool = False, edits: str | None = None
) -> Inbound:
    """Return a message of the history or the inbox as its client sent it."""
    return Inbound(
        token=token,
        id=message_id,
        text=msg.removeprefix(HUMAN),
        sent_at=0.0,
        regenerate=regenerate,
        edits=edits,
    )


def waiting_fields(inbound: Inbound) -> str:
    """Return the fields of a waiting message other than its text, as JSON after a comma."""
    if inbound.regenerate:
        return ',"regenerate":true'
    return f',"edits":"{edited_id(inbound.edits)}"' if inbound.edits is not None else ""


def history_item(frame: Frame) -> str:
    """Return the answer of a ``message`` frame as an element of the history, in JSON."""
    marks = {
        field: frame[field] for field in ("stopped", "incomplete", "shortened", "usage") if field in frame
    }
    item = {"id": frame["id"], "msg": BOT + frame["msg"], "timestamp": frame["timestamp"]}
    return orjson.dumps(item | marks).decode()


def restored_result(reply: Sequence[Any]) -> Closed | Queued | Stale | Gone | Missing | None:
    """Decode the reply of ``RESTORE_MESSAGE``; None for a message that belongs at the end of the session."""
    subscribers = SubscriberNodes.of(reply[1])
    match Code(reply[0]):
        case Code.FOUND:
            return None
        case Code.QUEUED:
            return Queued(reply[2], bool(reply[3]), subscribers)
        case Code.MISSING:
            return Missing(subscribers)
        case _:
            return close_result(reply)
