"""What travels between the stages, and what reaches a client.

The records go through the topics as JSON, keyed by the session's token, so that one session's messages stay
in order. The id of a turn is the id of the human message that opened it.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import NotRequired, TypedDict

import faust

HUMAN = "Human: "
BOT = "Bot: "

SESSION_EXPIRED = "session_expired"
SESSION_BUSY = "session_busy"
MESSAGE_TOO_LARGE = "message_too_large"
BAD_MESSAGE = "bad_message"
RATE_LIMITED = "rate_limited"
BUSY = "busy"
INTERNAL_ERROR = "internal_error"

_ERROR_TEXTS = {
    SESSION_EXPIRED: "This session has expired. Start a new one to go on.",
    SESSION_BUSY: "Too many of your messages are waiting for an answer. Wait for one, then send this again.",
    MESSAGE_TOO_LARGE: "This message is too long.",
    BAD_MESSAGE: "This message could not be read.",
    INTERNAL_ERROR: "Something went wrong on our side, so this message got no answer.",
}


class Frame(TypedDict):
    """What a client receives: an answer, or with `error` the reason why there is none."""

    id: str
    msg: str
    timestamp: str
    error: NotRequired[str]


class Inbound(faust.Record, serializer="json", include_metadata=False):
    """A message as a client sent it; web → ingest.

    Attributes:
        id: the message's own, chosen by the client or by the web node.
        sent_at: Unix time in seconds at which the web node received it.
    """

    token: str
    id: str
    text: str
    sent_at: float


class Turn(faust.Record, serializer="json", include_metadata=False):
    """A turn that is open now; ingest and deliver → enrich."""

    token: str
    turn: str


class Prompt(faust.Record, serializer="json", include_metadata=False):
    """What the model is asked; enrich → infer.

    Attributes:
        context: the last messages with their prefixes, from which `prompt` was built.
    """

    token: str
    turn: str
    prompt: str
    context: list[str]


class Outcome(faust.Record, serializer="json", include_metadata=False):
    """How a turn ended; infer → deliver.

    Attributes:
        answer: the answer, None when there is an error.
        error: an error code, None when there is an answer.
        detail: a line for the person who waits, None for the code's own text.
    """

    token: str
    turn: str
    answer: str | None = None
    error: str | None = None
    detail: str | None = None


def answer_id(turn: str) -> str:
    """Return the id of the one message that ends `turn`, the same however often the turn is repeated."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"parley:answer:{turn}"))


def error_text(code: str) -> str:
    """Return what an error code means, for the person who waits for the answer."""
    return _ERROR_TEXTS.get(code, "The model could not answer this message.")


def error_frame(turn: str, code: str) -> Frame:
    """Return the frame that tells why the message `turn` got no answer, where no session can make it."""
    timestamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"id": answer_id(turn), "msg": error_text(code), "timestamp": timestamp, "error": code}


def clean_text(text: str) -> str:
    """Return `text` without lone surrogates, which JSON can spell but no UTF-8 nor RedisJSON can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def json_text(text: str) -> str:
    """Return `text` as a JSON string that RedisJSON accepts."""
    return json.dumps(clean_text(text), ensure_ascii=False)
