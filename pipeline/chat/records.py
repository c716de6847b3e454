"""Define the records that stages exchange, the frames that clients get, and the error codes.

Records travel through the topics as JSON, keyed by the session's token, which keeps one session's messages in
order. The id of a turn is the id of the human message, or of the request to regenerate, that opened it.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Required, TypedDict

import faust
import orjson

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
    """The text of an error code for the user, and whether the same request may succeed later."""

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
    SESSION_EXPIRED: ErrorMeaning("This session has expired. Start a new one to continue.", False),
    SESSION_BUSY: ErrorMeaning(
        "Too many of your messages are waiting for an answer. Wait for one, then send this again.", True
    ),
    SESSION_FULL: ErrorMeaning("This chat is full. Start a new chat to continue.", False),
    MESSAGE_TOO_LARGE: ErrorMeaning("This message is too long.", False),
    BAD_MESSAGE: ErrorMeaning("This message could not be read.", False),
    NOTHING_TO_REGENERATE: ErrorMeaning("There is nothing to regenerate yet.", False),
    RESUME_FAILED: ErrorMeaning(
        "This session no longer contains that message; here are its latest answers.", False
    ),
    RATE_LIMITED: ErrorMeaning("Too many messages. Wait a little, then send this again.", True),
    BUSY: ErrorMeaning("Too many messages are waiting for an answer. Try again later.", True),
    INTERNAL_ERROR: ErrorMeaning("Something went wrong on our side, so this message got no answer.", True),
    # A model's error usually brings its own text, as ``TurnOutcome.detail``.
    **{code.value: ErrorMeaning(_MODEL_FAILED, code not in _FINAL) for code in ModelErrorCode},
}
"""The meaning of every error code that a client can get."""


class TokenUsage(TypedDict):
    """The token counts of an answer, as the model reports them."""

    input_tokens: int
    output_tokens: int


class Frame(TypedDict, total=False):
    """An event of a session for its sockets; the socket's protocol encodes it for the client.

    ``accepted``     id, position; for a repeated id: duplicate, and the frame that ended it as ``ending``
    ``start``        turn, run; regenerates
    ``token``        turn, run, at, text: the text after the first ``at`` characters of the answer
    ``thought``      turn, run, at, text: the text after the first ``at`` characters of the thoughts; not kept
    ``thought_end``  turn, run, seconds: the time spent on the thoughts
    ``message``      turn, id, msg, timestamp; stopped, incomplete, shortened, usage, replaces
    ``error``        id (of this frame), msg, timestamp, error (the code), retryable; retry_after (s); and
                     either the ``turn`` that it ended or the id of the message that was ``refused``
    ``ended``        no further field: the session was removed, so its sockets are closed
    ``missing``      id: that message was not accepted, because the session lacks the one that it follows; for
                     the web node that sent both
    """

    type: Required[
        Literal[
            "accepted", "start", "token", "thought", "thought_end", "message", "error", "ended", "missing"
        ]
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
"""Value of ``Inbound.edits`` for the last human message of the history; no message id equals it."""


class Inbound(faust.Record, serializer="json", include_metadata=False):
    """A client's message, edit of the last message, or request for another answer; web → ingest.

    Attributes:
        id: the id of this message, chosen by the client or the web node.
        text: empty when ``regenerate`` is set.
        sent_at: Unix time in seconds at which the web node received it.
        edits: the id of the message to replace if that is still the last human message, ``ANY_LAST`` for
            the last one whatever its id, None for a new message.
        follows: the id of the message before this one in the session, or of the answer to that; None if there
            is none or the web node does not know. A session that lacks it has lost it, and accepts this
            message only after it.
        node: the id of the web node, None if ``follows`` is.
        restored: whether the session had accepted the message before, so that it belongs right after
            ``follows``, at the start for None, or nowhere if a later message has begun.
        returned: how often ingest has put the message back because the session lacked ``follows``.
        reopen: whether to send the turn to the model again if it is open, because it may be lost.
    """

    token: str
    id: str
    text: str
    sent_at: float
    regenerate: bool = False
    edits: str | None = None
    follows: str | None = None
    node: str | None = None
    restored: bool = False
    returned: int = 0
    reopen: bool = False


class Turn(faust.Record, serializer="json", include_metadata=False):
    """A turn that was opened; ingest and deliver → enrich."""

    token: str
    turn: str


class Prompt(faust.Record, serializer="json", include_metadata=False):
    """The input of the model for one turn; enrich → infer.

    Attributes:
        context: the last messages with their prefixes, from which ``prompt`` was built.
    """

    token: str
    turn: str
    prompt: str
    context: list[str]


class TurnOutcome(faust.Record, serializer="json", include_metadata=False):
    """The result of a turn; infer → deliver.

    Attributes:
        answer: the complete or partial answer, None for an error.
        stopped: whether the user stopped the answer, which may then be empty.
        incomplete: the error code of a model that failed in mid-answer.
        shortened: whether the oldest messages were left out because the context was too long for the model.
        usage: the token counts of the answer, None when the model reports none.
        refused: whether the model refuses the message, which is then left out of later contexts.
        error: an error code, None for an answer.
        detail: a line for the user, None for the code's own text.
        retryable: whether the same request may succeed later, None for the code's default.
        retry_after: seconds after which a retry may succeed.
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


# The hash state with which ``uuid.uuid5`` would begin for every answer.
_ANSWERS = hashlib.sha1(uuid.NAMESPACE_URL.bytes + b"parley:answer:", usedforsecurity=False)


def answer_id(turn: str) -> str:
    """Return the id of the message that ends ``turn``, the same for every repeat of the turn."""
    digest = _ANSWERS.copy()
    digest.update(turn.encode())
    return _uuid(digest.hexdigest(), 5)


def random_id() -> str:
    """Return an id for a message that has no id of its client's."""
    return _uuid(os.urandom(16).hex(), 4)


def _uuid(digits: str, version: int) -> str:
    """Return the first 32 digits as a UUID of a version, in a third of the time of ``uuid.UUID``."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def error_text(code: str) -> str:
    """Return the text of an error code for the user."""
    return ERRORS[code].text if code in ERRORS else _MODEL_FAILED


def is_retryable(code: str) -> bool:
    """Return whether a request that failed with this code may succeed later."""
    return code not in ERRORS or ERRORS[code].retryable


def error_frame(turn: str, code: str) -> Frame:
    """Build the frame that ends a turn with an error, for a session that is gone."""
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
    """Build the frame that refuses a message, for a session that is gone."""
    frame = error_frame(message_id, code)
    del frame["turn"]
    frame["refused"] = message_id
    return frame


def timestamp() -> str:
    """Return the current time in the format of sessions: ISO 8601 in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def clean_text(text: str) -> str:
    """Replace lone surrogates, which JSON can express but neither UTF-8 nor RedisJSON can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def json_text(text: str) -> str:
    """Encode ``text`` as a JSON string that RedisJSON accepts."""
    return orjson.dumps(clean_text(text)).decode()
