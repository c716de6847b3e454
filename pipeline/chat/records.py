"""What travels between the stages, and what reaches a client.

The records go through the topics as JSON, keyed by the session's token, so that one session's messages stay
in order. The id of a turn is the id of the human message that opened it, or of the request to regenerate.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Required, TypedDict

import faust

from pipeline.errors import ModelErrorCode

HUMAN = "Human: "
BOT = "Bot: "

SESSION_EXPIRED = "session_expired"
SESSION_BUSY = "session_busy"
SESSION_FULL = "session_full"
MESSAGE_TOO_LARGE = "message_too_large"
BAD_MESSAGE = "bad_message"
NOTHING_TO_REGENERATE = "nothing_to_regenerate"
RESUME_FAILED = "resume_failed"
RATE_LIMITED = "rate_limited"
BUSY = "busy"
INTERNAL_ERROR = "internal_error"


class ErrorMeaning(NamedTuple):
    """What an error code says to the person who waits, and whether the same request may succeed later."""

    text: str
    retryable: bool


_MODEL_FAILED = "The model could not answer this message."
_FINAL = {
    ModelErrorCode.UNAUTHORIZED,
    ModelErrorCode.PAYMENT_REQUIRED,
    ModelErrorCode.NOT_FOUND,
    ModelErrorCode.REJECTED,
    ModelErrorCode.BAD_RESPONSE,
}

ERRORS: dict[str, ErrorMeaning] = {
    SESSION_EXPIRED: ErrorMeaning("This session has expired. Start a new one to go on.", False),
    SESSION_BUSY: ErrorMeaning(
        "Too many of your messages are waiting for an answer. Wait for one, then send this again.", True
    ),
    SESSION_FULL: ErrorMeaning("This chat is full. Start a new chat to go on.", False),
    MESSAGE_TOO_LARGE: ErrorMeaning("This message is too long.", False),
    BAD_MESSAGE: ErrorMeaning("This message could not be read.", False),
    NOTHING_TO_REGENERATE: ErrorMeaning("There is no message yet that could be answered anew.", False),
    RESUME_FAILED: ErrorMeaning(
        "The session cannot go on after that message; here are its last answers.", False
    ),
    RATE_LIMITED: ErrorMeaning("Too many messages. Wait a little, then send this again.", True),
    BUSY: ErrorMeaning("Too many messages are waiting for an answer. Try again later.", True),
    INTERNAL_ERROR: ErrorMeaning("Something went wrong on our side, so this message got no answer.", True),
    # What a model's error says depends on the error, and comes with it.
    **{code.value: ErrorMeaning(_MODEL_FAILED, code not in _FINAL) for code in ModelErrorCode},
}
"""Every error code that a client can get."""


class TokenUsage(TypedDict):
    """The tokens of an answer, as the model counts them."""

    input_tokens: int
    output_tokens: int


class Frame(TypedDict, total=False):
    """What the web nodes get for the sockets of a session; a protocol decides how a client is told.

    `accepted`  id, position; for an id seen before duplicate, and the frame that ended it as `ending`
    `start`     turn, run; regenerates
    `token`     turn, run, at, text: what follows the first `at` characters of the answer
    `thought`   turn, run, at, text: what follows the first `at` characters of the thoughts; not kept
    `thought_end` turn, run, seconds: how long they took
    `message`   turn, id, msg, timestamp; stopped, incomplete, shortened, usage, replaces
    `error`     id (of this frame), msg, timestamp, error (the code), retryable; and either the turn that
                ended with it, or in `refused` the message that was not taken; retry_after
    `ended`     the session was removed: its sockets are to be closed
    """

    type: Required[
        Literal["accepted", "start", "token", "thought", "thought_end", "message", "error", "ended"]
    ]
    id: str
    turn: str
    run: int
    at: int
    text: str
    position: int
    duplicate: bool
    ending: Frame | None
    regenerates: str
    msg: str
    timestamp: str
    seconds: float
    stopped: bool
    incomplete: str
    shortened: bool
    usage: TokenUsage
    replaces: str
    error: str
    retryable: bool
    retry_after: float
    refused: str


ANY_LAST = "*"
"""In `Inbound.edits`: whichever human message is the last of the history; no id looks like it."""


class Inbound(faust.Record, serializer="json", include_metadata=False):
    """A message as a client sent it, an edit of the last one, or the wish for another answer; web → ingest.

    Attributes:
        id: the message's own, chosen by the client or by the web node.
        text: empty when `regenerate` is set.
        sent_at: Unix time in seconds at which the web node received it.
        edits: the id of the message that this one replaces if that is still the last one, ANY_LAST for
            whichever is the last; None for a message of its own.
    """

    token: str
    id: str
    text: str
    sent_at: float
    regenerate: bool = False
    edits: str | None = None


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


class TurnOutcome(faust.Record, serializer="json", include_metadata=False):
    """How a turn ended; infer → deliver.

    Attributes:
        answer: the answer or what there is of it, None when there is an error.
        stopped: the user stopped the answer, which may be empty then.
        incomplete: the error code with which the model died in mid-answer.
        shortened: the model has not seen the oldest messages of the context, which was too long for it.
        usage: the tokens of the answer, None when the model does not report them.
        refused: the model does not take the message; it is not to be sent again as context of a later one.
        error: an error code, None when there is an answer.
        detail: a line for the person who waits, None for the code's own text.
        retryable: whether asking again may help, None for what the code says.
        retry_after: seconds after which it may.
    """

    token: str
    turn: str
    answer: str | None = None
    stopped: bool = False
    incomplete: str | None = None
    shortened: bool = False
    usage: dict[str, int] | None = None
    refused: bool = False
    error: str | None = None
    detail: str | None = None
    retryable: bool | None = None
    retry_after: float | None = None


# What `uuid.uuid5` would begin with for every answer.
_ANSWERS = hashlib.sha1(uuid.NAMESPACE_URL.bytes + b"parley:answer:", usedforsecurity=False)


def answer_id(turn: str) -> str:
    """Return the id of the one message that ends `turn`, the same however often the turn is repeated."""
    digest = _ANSWERS.copy()
    digest.update(turn.encode())
    return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


def error_text(code: str) -> str:
    """Return what an error code means, for the person who waits for the answer."""
    return ERRORS[code].text if code in ERRORS else _MODEL_FAILED


def is_retryable(code: str) -> bool:
    """Return whether a request that failed with this code may succeed later."""
    return code not in ERRORS or ERRORS[code].retryable


def error_frame(turn: str, code: str) -> Frame:
    """Return the frame that ends a turn with an error, where no session can make it."""
    return {
        "type": "error",
        "turn": turn,
        "id": answer_id(turn),
        "msg": error_text(code),
        "timestamp": timestamp(),
        "error": code,
        "retryable": is_retryable(code),
    }


def refusal_frame(message_id: str, code: str) -> Frame:
    """Return the frame that refuses a message, where no session can make it."""
    frame = error_frame(message_id, code)
    del frame["turn"]
    frame["refused"] = message_id
    return frame


def timestamp() -> str:
    """Return the time as the sessions write it: ISO 8601 in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def clean_text(text: str) -> str:
    """Return `text` without lone surrogates, which JSON can spell but no UTF-8 nor RedisJSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def json_text(text: str) -> str:
    """Return `text` as a JSON string that RedisJSON accepts."""
    return json.dumps(clean_text(text), ensure_ascii=False)
