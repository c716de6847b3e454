"""Declare the Lua scripts of a session, build their arguments and decode their replies; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import orjson

from faust_redis.redis import Command
from pipeline.chat.answer_runs import parse_partial
from pipeline.chat.catch_up import frame_of
from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import (
    ANY_LAST,
    BOT,
    INTERNAL_ERROR,
    NOTHING_TO_REGENERATE,
    SESSION_BUSY,
    SESSION_FULL,
    Frame,
    TurnOutcome,
    answer_id,
    error_text,
    is_retryable,
    json_text,
)
from pipeline.chat.results import (
    Accepted,
    Closed,
    Context,
    Ended,
    Gone,
    Missing,
    Opened,
    Partial,
    Place,
    Queued,
    Refused,
    Revival,
    Stale,
    Stopped,
    TurnRunning,
    Whereabouts,
)
from pipeline.redis.keys import partial_key, presence_key, session_key
from pipeline.redis.scripts import Code, Script


def failure_fields(code: str, retryable: bool | None = None, retry_after: float | None = None) -> str:
    """Return the code, retryability and waiting time of an error frame, as JSON after a comma."""
    fields: dict[str, Any] = {
        "error": code,
        "retryable": is_retryable(code) if retryable is None else retryable,
    }
    if retry_after is not None:
        # In milliseconds, because RedisJSON prints a longer fraction differently when it is read again.
        fields["retry_after"] = round(retry_after, 3)
    return "," + orjson.dumps(fields).decode()[1:-1]


#: The text and the further fields of each error frame with which ``ACCEPT`` refuses a message, as JSON.
REFUSALS: Final = {
    "BUSY_MSG": json_text(error_text(SESSION_BUSY)),
    "BUSY": failure_fields(SESSION_BUSY),
    "NOTHING_MSG": json_text(error_text(NOTHING_TO_REGENERATE)),
    "NOTHING": failure_fields(NOTHING_TO_REGENERATE),
    "FULL_MSG": json_text(error_text(SESSION_FULL)),
    "FULL": failure_fields(SESSION_FULL),
    "TRIED_MSG": json_text("This message has the maximum number of answers. Send another message."),
}


#: The text and the further fields of the error frame of a message that has no place any more, as JSON.
LOST: Final = {
    "LOST_MSG": json_text("This message was lost for a moment, and later ones have begun. Send it again."),
    "LOST": failure_fields(INTERNAL_ERROR),
}


CREATE = Script(
    __package__,
    "create_session",
    keys=1,
    arguments=("token", "name", "ttl", "started"),
    includes=("require_right", "clock"),
)
ACCEPT = Script(
    __package__,
    "accept_message",
    keys=2,
    arguments=(
        "id",
        "entry",
        "msg",
        "inbox_limit",
        "ttl",
        "max_messages",
        "max_bytes",
        "max_ids",
        "frame_id",
        "edits",
        "follows",
    ),
    includes=("require_right", "clock", "state", "change", "turns"),
    texts=REFUSALS,
)
CLOSE = Script(
    __package__,
    "close_turn",
    keys=3,
    arguments=("turn", "entry", "msg", "marks", "frame_id", "frame_msg", "failure", "refused", "at"),
    includes=("require_right", "clock", "state", "change", "turns", "keep"),
)
STOP = Script(__package__, "stop_turn", keys=2, arguments=("turn",))
MARK_SENT = Script(__package__, "mark_sent", keys=1, arguments=("ids",))
REVIVE = Script(__package__, "revive_turn", keys=1, arguments=("id", "id_path", "frame_id"))
READ = Script(
    __package__,
    "read_session",
    keys=2,
    arguments=("tail", "after_path", "answer_path"),
    includes=("latest",),
)
PAGE = Script(__package__, "read_page", keys=1, arguments=("before_path", "limit"))
RESTORE_ANSWER = Script(
    __package__,
    "restore_answer",
    keys=1,
    arguments=("id", "id_path", "msg", "timestamp"),
    includes=("require_right", "change"),
)
RESTORE_MESSAGE = Script(
    __package__,
    "restore_message",
    keys=2,
    arguments=("id", "entry", "msg", "fields", "follows", "answer", "frame", "frame_id", "is_error"),
    includes=("require_right", "clock", "state", "change", "turns", "keep"),
    texts=LOST,
)
SCRIPTS: Final = (CREATE, ACCEPT, CLOSE, STOP, MARK_SENT, REVIVE, READ, PAGE, RESTORE_ANSWER, RESTORE_MESSAGE)

#: Each return code of ``REVIVE`` as the result it stands for.
REVIVALS: Final = {
    Code.RUNNING: Revival.OPEN,
    Code.REFUSED: Revival.FORGOTTEN,
    Code.ENDED: Revival.UNANSWERED,
    Code.STALE: Revival.PAST,
    Code.GONE: Revival.PAST,
}

# Characters of an error's text, because a model server decides how long its text is.
_DETAIL_CHARACTERS = 1000

# The characters of a message id: the id becomes part of a JSON path, where a quote would end it.
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def is_message_id(text: str) -> bool:
    """Return whether ``text`` is a valid message id: 1 to 128 letters, digits, ``_``, ``.``, ``:``, ``-``."""
    return _ID.fullmatch(text) is not None


def checked_id(text: str) -> str:
    """Return a message id unchanged.

    Raises:
        ValueError: ``text`` is not a valid message id.
    """
    if not is_message_id(text):
        raise ValueError(f"not a message id: {text[:140]!r}")
    return text


def edited_id(edits: str | None) -> str:
    """Return ``Inbound.edits`` as the script's argument, empty for None.

    Raises:
        ValueError: ``edits`` is not a valid message id.
    """
    if edits is None:
        return ""
    return edits if edits == ANY_LAST else checked_id(edits)


def id_path(message_id: str) -> str:
    """Return the JSON path of the stream entry that brought a message."""
    return f'$._ids["{checked_id(message_id)}"]'


def held_path(message_id: str) -> str:
    """Return a JSON path that exists in a session unless it lacks this message or answer."""
    return f'$["_ids","_places"]["{checked_id(message_id)}"]'


def place_path(message_id: str) -> str:
    """Return the JSON path of the index of a message or answer in the history."""
    return f'$._places["{checked_id(message_id)}"]'


def answer_fields(outcome: TurnOutcome) -> str:
    """Return the fields of an answer other than its text, as JSON after a comma."""
    fields: dict[str, Any] = {}
    if outcome.stopped:
        fields["stopped"] = True
    elif outcome.incomplete is not None:
        fields["incomplete"] = outcome.incomplete
    if outcome.shortened:
        fields["shortened"] = True
    if outcome.usage is not None:
        fields["usage"] = outcome.usage
    return "," + orjson.dumps(fields).decode()[1:-1] if fields else ""


def close_command(outcome: TurnOutcome, entry: str, timestamp: str = "") -> Command:
    """Return the command that closes a turn, see ``Sessions.close``.

    Raises:
        ValueError: the turn's id fails ``is_message_id``, or there is neither an answer nor an error.
    """
    token, turn = outcome.token, checked_id(outcome.turn)
    if outcome.error is None and outcome.answer is None:
        raise ValueError("an outcome needs an answer or an error")
    answer = outcome.answer if outcome.error is None else None
    error = str(outcome.error)
    words = answer if answer is not None else (outcome.detail or error_text(error))[:_DETAIL_CHARACTERS]
    return CLOSE.command(
        [session_key(token), partial_key(token), presence_key(token)],
        turn=turn,
        entry=entry,
        msg="" if answer is None else json_text(BOT + answer),
        marks=answer_fields(outcome),
        frame_id=answer_id(turn),
        frame_msg=json_text(words),
        failure=failure_fields(error, outcome.retryable, outcome.retry_after) if answer is None else "",
        refused=int(outcome.refused),
        at=timestamp,
    )


def context_paths(count: int) -> tuple[str, str]:
    """Return the paths of a session that ``context_result`` decodes, for a context of ``count`` messages."""
    # One message more, because the answer to replace is left out.
    return '$["_turn","_refused"]', f'$.messages[-{count + 1}:]["id","msg"]'


def context_result(turn: str, count: int, raw: bytes | None) -> Context | Stale | Gone:
    """Decode the values of ``context_paths``."""
    if raw is None:
        return Gone()
    state_path, messages_path = context_paths(count)
    found = orjson.loads(raw)
    open_turn, *refusals = found[state_path]
    if open_turn is None or open_turn["id"] != turn:
        return Stale()
    fields = found[messages_path]
    recent = list(zip(fields[::2], fields[1::2], strict=True))
    shown = (recent[:-1] if "regenerates" in open_turn else recent)[-count:]
    refused = {message_id for each in refusals for message_id in each}
    # The last message is the one to answer, which may be tried again although the model refused it.
    context = [text for message_id, text in shown[:-1] if message_id not in refused]
    return Context([*context, *(text for _, text in shown[-1:])], "stopped" in open_turn)


def running_answer(raw: bytes, open_turn: Mapping[str, Any]) -> Partial | None:
    """Decode a partial answer; return None unless it belongs to the open turn."""
    partial = parse_partial(raw)
    if partial is None or partial.turn != open_turn.get("id"):
        return None
    return replace(partial, regenerates=open_turn.get("regenerates"))


#: The paths of a session that ``whereabouts`` reads besides those of the messages.
FOUND_PATHS: Final = ("$._turn.id", "$._inbox[*].id")


def whereabouts(ids: Sequence[str], found: Mapping[str, Any], partial: bytes) -> Whereabouts:
    """Return the state of messages.

    Args:
        found: the values of their ``held_path`` and of ``FOUND_PATHS``.
        partial: the first line of the partial answer, or more of it.
    """
    open_turn, waiting = next(iter(found["$._turn.id"]), None), set(found["$._inbox[*].id"])
    running = parse_partial(partial)

    def place(message_id: str) -> Place:
        if not found[held_path(message_id)]:
            return Place.UNKNOWN
        if message_id == open_turn:
            return Place.OPEN
        return Place.WAITING if message_id in waiting else Place.OVER

    run = running.run if running is not None and running.turn == open_turn else 0
    return Whereabouts({message_id: place(message_id) for message_id in ids}, open_turn, run)


def ending_frame(turn: str, raw: bytes) -> Frame | None:
    """Decode the end of a turn, an error frame or a message of the history, as a frame."""
    if not raw:
        return None
    found = orjson.loads(raw)
    return cast(Frame, found) if "type" in found else frame_of(found, turn)


def accept_result(message_id: str, reply: Sequence[Any]) -> Accepted:
    """Decode the reply of ``ACCEPT``."""
    subscribers = SubscriberNodes.of(reply[1])
    match Code(reply[0]):
        case Code.OPENED:
            return Opened(message_id, subscribers)
        case Code.QUEUED:
            return Queued(reply[2], bool(reply[3]), subscribers)
        case Code.RUNNING:
            return TurnRunning(subscribers)
        case Code.ENDED:
            return Ended(ending_frame(message_id, reply[2]), bool(reply[3]), subscribers)
        case Code.REFUSED:
            return Refused(orjson.loads(reply[2]), subscribers)
        case Code.GONE:
            return Gone(subscribers)
        case Code.MISSING:
            return Missing(subscribers)
        case other:
            raise AssertionError(f"accept_message replied {other!r}")


def close_result(reply: Sequence[Any]) -> Closed | Stale | Gone:
    """Decode the reply of ``CLOSE``."""
    subscribers = SubscriberNodes.of(reply[1])
    match Code(reply[0]):
        case Code.CLOSED:
            return Closed(orjson.loads(reply[2]), reply[3].decode() if len(reply) > 3 else None, subscribers)
        case Code.STALE:
            return Stale(subscribers)
        case Code.GONE:
            return Gone(subscribers)
        case other:
            raise AssertionError(f"close_turn replied {other!r}")


def stop_result(reply: Sequence[Any]) -> Stopped | Queued | Stale | Gone:
    """Decode the reply of ``STOP``."""
    match Code(reply[0]):
        case Code.STOPPED:
            return Stopped(reply[1].decode(), bool(reply[2]))
        case Code.QUEUED:
            return Queued(reply[1])
        case Code.STALE:
            return Stale()
        case Code.GONE:
            return Gone()
        case other:
            raise AssertionError(f"stop_turn replied {other!r}")
