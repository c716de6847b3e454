"""Sessions: one RedisJSON document each, changed only by scripts that can be run twice with one effect.

    session:{<token>}       RedisJSON, lives SESSION_TTL seconds
        token, name, session_start, messages [{id, msg, timestamp}]      what clients see
        _turn    {id, entry} | null         the open turn, and the stream entry that opened it; `regenerates`
                                            the answer with that id; `stopped` by the user
        _last    {turn, entry, frame} | null        the turn closed last, and the entry that closed it
        _inbox   [{id, msg, timestamp}]     messages that wait for their turn, as the history will hold them,
                                            those that one `edits`, and requests to `regenerate`
        _stops   {message id: true}         those of them that the user has stopped
        _ids     {message id: stream entry that brought it}
        _places  {message or answer id: its index in `messages`}, so that a repeat searches for nothing
        _bytes   what `messages` and `_inbox` take, as JSON
        _refused [message id]               messages that the model does not take, so that they are no context
        _errors  [frame]                    the last errors, which no history holds
        _unsent  [frame]                    answers and errors that no socket has taken yet

A worker that dies between a script and the messages that follow from it gets its stream entry again. The
script then replies as it did before, but only to that entry: a second entry with the same content (a client's
repeat, a turn that was asked twice) is told so and sends nothing, or every later turn would be asked twice.

No operation but `document` and a catch-up reads the history beyond its last few messages; those two wait for
each other, see `pipeline.chat.shared_reads`. A session has bounds: SESSION_MAX_MESSAGES, SESSION_MAX_BYTES,
and the limits in `shared.lua`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeVar, cast

import orjson
from redis.asyncio import Redis

from pipeline.chat.answer_runs import parse_partial, partial_key
from pipeline.chat.catch_up import Recent, frame_of, oldest_within, resume, resume_lost, resume_since
from pipeline.chat.presence import SubscriberNodes, presence_key
from pipeline.chat.records import (
    ANY_LAST,
    BOT,
    HUMAN,
    NOTHING_TO_REGENERATE,
    SESSION_BUSY,
    SESSION_FULL,
    Frame,
    Inbound,
    TurnOutcome,
    answer_id,
    error_text,
    is_retryable,
    json_text,
)
from pipeline.chat.results import (
    Closed,
    Context,
    Document,
    Ended,
    Gone,
    Opened,
    Page,
    Partial,
    Queued,
    Refused,
    SessionSnapshot,
    Stale,
    Stopped,
    TurnRunning,
)
from pipeline.chat.shared_reads import SharedReads
from pipeline.chat.tokens import Tokens
from pipeline.errors import SessionGone
from pipeline.redis.client import execute, retry_until_available
from pipeline.redis.scripts import Code, Script, load_scripts, run_scripts
from pipeline.settings import Settings

T = TypeVar("T")

_CREATE = Script(__package__, "create_session", keys=1, arguments=("token", "name", "ttl"))
_ACCEPT = Script(
    __package__,
    "accept_message",
    keys=2,
    arguments=(
        "id",
        "id_path",
        "entry",
        "msg",
        "inbox_limit",
        "ttl",
        "max_messages",
        "max_bytes",
        "max_ids",
        "frame_id",
        "frame_path",
        "busy_msg",
        "busy",
        "nothing_msg",
        "nothing",
        "full_msg",
        "full",
        "tried_msg",
        "edits",
    ),
)
_CLOSE = Script(
    __package__,
    "close_turn",
    keys=3,
    arguments=("turn", "turn_path", "entry", "msg", "marks", "frame_id", "frame_msg", "failure", "refused"),
)
_STOP = Script(__package__, "stop_turn", keys=2, arguments=("turn",))
_MARK_SENT = Script(__package__, "mark_sent", keys=1, arguments=("ids",))
_REVIVE = Script(__package__, "revive_turn", keys=1, arguments=("id", "id_path", "frame_id"))
_READ = Script(__package__, "read_session", keys=2, arguments=("tail", "after_path", "answer_path"))
_PAGE = Script(__package__, "read_page", keys=1, arguments=("before_path", "limit"))
_SCRIPTS: Final = (_CREATE, _ACCEPT, _CLOSE, _STOP, _MARK_SENT, _REVIVE, _READ, _PAGE)

# All messages: no history is longer.
_ALL = 1_000_000_000
# Messages that are read for a client that comes back: most were away for a moment. More only when these do
# not reach back to what it has.
_TAILS: Final = (64, 512, _ALL)

# Ids that a session remembers, by message that its history may hold: every turn has one, those that were
# refused as well, and requests to answer anew.
_IDS_PER_MESSAGE = 2

#: Characters of an error's text; a model's server decides how long its own is.
_DETAIL_CHARACTERS = 1000

# What a message id may hold: it becomes part of a JSON path, where a quote would end it.
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def session_key(token: str) -> str:
    """Return the key of a session's document."""
    return f"session:{{{token}}}"


def is_message_id(text: str) -> bool:
    """Return whether `text` may be the id of a message: 1 to 128 letters, digits, `_`, `.`, `:` and `-`."""
    return _ID.fullmatch(text) is not None


class Revival(Enum):
    """What can be done about a message that ended with an error, and is to be tried again."""

    OPEN = "its turn is open"
    FORGOTTEN = "it was refused, and may be sent again now"
    UNANSWERED = "it is the last of the history, without an answer"
    PAST = "the session has gone on, or is gone"


_REVIVALS = {
    Code.RUNNING: Revival.OPEN,
    Code.REFUSED: Revival.FORGOTTEN,
    Code.ENDED: Revival.UNANSWERED,
    Code.STALE: Revival.PAST,
    Code.GONE: Revival.PAST,
}


class Sessions:
    """Every operation on sessions; each waits for Redis to be back when it is away, and is safe to repeat."""

    def __init__(self, redis: Redis, settings: Settings, *, patience: float | None = None) -> None:
        """Take the connection.

        Args:
            patience: seconds to wait for Redis before its error is raised; None, right for an agent, waits
                without end.
        """
        self._redis = redis
        self._settings = settings
        self._patience = patience
        self._tokens = Tokens(settings.partitions)
        self._reads = SharedReads()

    async def prepare(self) -> None:
        """Connect, and have Redis know the scripts, so that the first operation waits for neither."""
        await self._run(lambda: load_scripts(self._redis, _SCRIPTS))

    async def aclose(self) -> None:
        """End reads that go on although nobody waits for them any more; the connection stays open."""
        await self._reads.aclose()

    async def create(self, name: str) -> Document:
        """Store and return a new session, which lives SESSION_TTL seconds."""
        token = self._tokens.draw()
        ttl = self._settings.session_ttl
        started = await self._run(
            lambda: _CREATE(self._redis, [session_key(token)], token=token, name=json_text(name), ttl=ttl)
        )
        session_start = json.loads(started)[0]
        return {"token": token, "messages": [], "name": name, "session_start": session_start}

    async def document(self, token: str) -> bytes | None:
        """Return the whole session as clients see it, as JSON; None when there is none.

        Callers that ask for one session at the same time share one read: cancelling one of them, or a client
        that hangs up, starts no other.
        """
        fields = ("token", "name", "session_start", "messages")

        async def read() -> bytes | None:
            return cast(
                "bytes | None",
                await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), *fields)),
            )

        return await self._reads.run(token, "document", read)

    async def get(self, token: str) -> Document | None:
        """Return the whole session without what is internal, None when there is none."""
        raw = await self.document(token)
        return None if raw is None else cast(Document, orjson.loads(raw))

    async def page(self, token: str, limit: int, before: str | None = None) -> Page | None:
        """Return the last `limit` messages of a session, or the last before one; None when that is gone.

        Args:
            before: the id of a message or of an answer.

        Raises:
            LookupError: the history does not hold `before`.
        """
        if before is not None and not is_message_id(before):
            raise LookupError(before)
        path = "" if before is None else _place_path(before)
        reply = await self._run(
            lambda: _PAGE(self._redis, [session_key(token)], before_path=path, limit=limit)
        )
        match Code(reply[0]):
            case Code.GONE:
                return None
            case Code.STALE:
                raise LookupError(before)
            case Code.FOUND:
                found = orjson.loads(reply[1])
                messages = next(found.pop(key) for key in list(found) if key.startswith("$.messages"))
                fields = {key.removeprefix("$."): values[0] for key, values in found.items()}
                return Page(cast(Document, fields | {"messages": messages}), reply[2])
            case other:
                raise AssertionError(f"read_page replied {other!r}")

    async def exists(self, token: str) -> bool:
        """Return whether the session is there, without reading it."""
        return bool(await self._run(lambda: execute(self._redis, "EXISTS", session_key(token))))

    async def expires_at(self, token: str) -> datetime | None:
        """Return when a session ends unless it is renewed, in UTC; None when it is gone."""
        at = await self._run(lambda: execute(self._redis, "PEXPIRETIME", session_key(token)))
        return datetime.fromtimestamp(at / 1000, UTC) if at > 0 else None

    async def accept(
        self, inbound: Inbound, entry: str = ""
    ) -> Opened | Queued | TurnRunning | Ended | Refused | Gone:
        """Take a message, an edit or the wish for another answer: it gets its turn now, waits or is refused.

        An edit replaces the last human message and its answer, which stay beside it in the history. When the
        message that it names is not the last one any more, it is a message as any other.

        Args:
            inbound: its id decides what is a repeat.
            entry: names the stream entry that brought it.

        Raises:
            ValueError: the id, or that of the message to replace, is none; see `is_message_id`.
        """
        token, settings = inbound.token, self._settings
        path = _id_path(inbound.id)
        reply = await self._run(
            lambda: _ACCEPT(
                self._redis,
                [session_key(token), presence_key(token)],
                id=inbound.id,
                id_path=path,
                entry=entry,
                msg="" if inbound.regenerate else json_text(HUMAN + inbound.text),
                inbox_limit=settings.inbox_limit,
                ttl=settings.session_ttl if settings.session_ttl_sliding else 0,
                max_messages=settings.session_max_messages,
                max_bytes=settings.session_max_bytes,
                max_ids=settings.session_max_messages * _IDS_PER_MESSAGE,
                frame_id=answer_id(inbound.id),
                frame_path=_place_path(answer_id(inbound.id)),
                edits=_edited(inbound.edits),
                **_REFUSALS,
            )
        )
        subscribers = SubscriberNodes.of(reply[1])
        match Code(reply[0]):
            case Code.OPENED:
                return Opened(inbound.id, subscribers)
            case Code.QUEUED:
                return Queued(reply[2], bool(reply[3]), subscribers)
            case Code.RUNNING:
                return TurnRunning(subscribers)
            case Code.ENDED:
                return Ended(_ending(inbound.id, reply[2]), bool(reply[3]), subscribers)
            case Code.REFUSED:
                return Refused(orjson.loads(reply[2]), subscribers)
            case Code.GONE:
                return Gone(subscribers)
            case other:
                raise AssertionError(f"accept_message replied {other!r}")

    async def context(self, token: str, turn: str, count: int) -> Context | None:
        """Return the last `count` messages that the model is to see, or None when `turn` is not the open one.

        Raises:
            SessionGone: the session expired.
        """
        # One more, as an answer that is to be replaced is not shown.
        messages, ids = f"$.messages[-{count + 1}:].msg", f"$.messages[-{count + 1}:].id"
        found = await self._json(token, "$._turn", messages, ids, "$._refused[*]")
        if found is None:
            raise SessionGone(token)
        open_turn = found["$._turn"][0]
        if open_turn is None or open_turn["id"] != turn:
            return None
        recent = list(zip(found[ids], found[messages], strict=True))
        shown = (recent[:-1] if "regenerates" in open_turn else recent)[-count:]
        refused = set(found["$._refused[*]"])
        # The last is the message to be answered, which may be tried again.
        context = [text for message_id, text in shown[:-1] if message_id not in refused]
        return Context([*context, *(text for _, text in shown[-1:])], "stopped" in open_turn)

    async def close(self, outcome: TurnOutcome, entry: str = "") -> Closed | Stale | Gone:
        """End a turn with its outcome, and open the next one that waits.

        An error for a message that the session does not know refuses it, so that its sender is told.

        Args:
            outcome: `answer` goes into the history, an error only to the client.
            entry: names the stream entry that brought it.

        Raises:
            ValueError: the turn's id is none, see `is_message_id`; or the outcome has no answer and no error.
        """
        path = _id_path(outcome.turn)
        if outcome.error is None and outcome.answer is None:
            raise ValueError("an outcome needs an answer or an error")
        answer = outcome.answer if outcome.error is None else None
        error = str(outcome.error)
        words = answer if answer is not None else (outcome.detail or error_text(error))[:_DETAIL_CHARACTERS]
        token = outcome.token
        reply = await self._run(
            lambda: _CLOSE(
                self._redis,
                [session_key(token), partial_key(token), presence_key(token)],
                turn=outcome.turn,
                turn_path=path,
                entry=entry,
                msg="" if answer is None else json_text(BOT + answer),
                marks=_marks(outcome),
                frame_id=answer_id(outcome.turn),
                frame_msg=json_text(words),
                failure="" if answer is not None else _failure(error, outcome.retryable, outcome.retry_after),
                refused=int(outcome.refused),
            )
        )
        subscribers = SubscriberNodes.of(reply[1])
        match Code(reply[0]):
            case Code.CLOSED:
                return Closed(
                    orjson.loads(reply[2]), reply[3].decode() if len(reply) > 3 else None, subscribers
                )
            case Code.STALE:
                return Stale(subscribers)
            case Code.GONE:
                return Gone(subscribers)
            case other:
                raise AssertionError(f"close_turn replied {other!r}")

    async def stop(self, token: str, turn: str | None = None) -> Stopped | Queued | Stale | Gone:
        """Mark the open turn as stopped, or only the turn given, which may still wait; harmless to repeat.

        Returns:
            `Stale` when there is nothing to stop, `Queued` for a turn that will be stopped when it begins.
        """
        if turn is not None:
            _checked(turn)
        keys = [session_key(token), partial_key(token)]
        reply = await self._run(lambda: _STOP(self._redis, keys, turn=turn or ""))
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

    async def revive(self, token: str, turn: str) -> Revival:
        """Make way for a message that ended with an error and is to be tried again."""
        path = _id_path(turn)
        reply = await self._run(
            lambda: _REVIVE(
                self._redis, [session_key(token)], id=turn, id_path=path, frame_id=answer_id(turn)
            )
        )
        return _REVIVALS[Code(reply[0])]

    async def snapshot(
        self, token: str, after: str | None = None, *, since: str | None = None
    ) -> SessionSnapshot | None:
        """Return what a socket needs that comes to a session, as of one moment; None when that is gone.

        One look at a session runs at a time, and those that ask for the same meanwhile share the next.

        Args:
            after: the id of a message; what ended since then comes too.
            since: a time, as an earlier view told it: the same from there, if no id is given.
        """
        return await self._reads.run(token, (after, since), lambda: self._snapshot(token, after, since))

    async def _snapshot(self, token: str, after: str | None, since: str | None) -> SessionSnapshot | None:
        keys = [session_key(token), partial_key(token)]
        paths = {"after_path": "", "answer_path": ""}
        if after is not None and is_message_id(after):
            paths = {"after_path": _place_path(after), "answer_path": _place_path(answer_id(after))}
        for tail in (0,) if after is None and since is None else _TAILS:
            reply = await self._run(lambda tail=tail: _READ(self._redis, keys, tail=tail, **paths))  # type: ignore[misc]
            if Code(reply[0]) is Code.GONE:
                return None
            found = orjson.loads(reply[1])
            open_turn, unsent = found["$._turn"][0] or {}, oldest_within(found["$._unsent"][0])
            view: SessionSnapshot | None = SessionSnapshot(unsent)
            if tail:
                history = found[f"$.messages[-{tail}:]"]
                session = Recent(
                    messages=history,
                    errors=found["$._errors"][0],
                    unsent=unsent,
                    waiting=found["$._inbox[*]"],
                    open_turn=open_turn.get("id"),
                    whole=tail == _ALL or len(history) < tail,
                )
                view = resume(session, after) if after is not None else resume_since(session, str(since))
                if view is None and after is not None and not reply[4]:
                    view = resume_lost(session)
            if view is not None:
                return replace(view, partial=_partial(reply[2], open_turn), time=reply[3].decode())
        raise AssertionError("the whole history always gives a view")

    async def unsent(self, token: str) -> list[Frame]:
        """Return the frames that no socket has taken yet, oldest first; none when the session is gone."""
        raw = await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), "$._unsent"))
        return [] if raw is None else cast("list[Frame]", json.loads(raw)[0])

    async def mark_sent(self, token: str, ids: Sequence[str]) -> None:
        """Forget frames that a socket has taken."""
        await self.mark_sent_many({token: ids})

    async def mark_sent_many(self, sent: Mapping[str, Sequence[str]]) -> None:
        """Forget frames that sockets have taken, given as ids by token, in one round trip."""
        commands = [
            _MARK_SENT.command([session_key(token)], ids=" ".join(map(_checked, ids)))
            for token, ids in sent.items()
        ]
        if commands:
            await self._run(lambda: run_scripts(self._redis, commands, (_MARK_SENT,)))

    async def _json(self, token: str, *paths: str) -> dict[str, list[Any]] | None:
        """Read several paths of a session in one command; None when it is gone."""
        raw = await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), *paths))
        return None if raw is None else cast("dict[str, list[Any]]", json.loads(raw))

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await retry_until_available(operation, patience=self._patience)


def _checked(text: str) -> str:
    if not is_message_id(text):
        raise ValueError(f"not the id of a message: {text[:140]!r}")
    return text


def _edited(edits: str | None) -> str:
    if edits is None:
        return ""
    return edits if edits == ANY_LAST else _checked(edits)


def _id_path(message_id: str) -> str:
    return f'$._ids["{_checked(message_id)}"]'


def _place_path(message_id: str) -> str:
    return f'$._places["{_checked(message_id)}"]'


def _failure(code: str, retryable: bool | None = None, retry_after: float | None = None) -> str:
    """Return the fields of an error frame that say why, as JSON after a comma."""
    fields: dict[str, Any] = {
        "error": code,
        "retryable": is_retryable(code) if retryable is None else retryable,
    }
    if retry_after is not None:
        fields["retry_after"] = retry_after
    return "," + orjson.dumps(fields).decode()[1:-1]


_REFUSALS: Final = {
    "busy_msg": json_text(error_text(SESSION_BUSY)),
    "busy": _failure(SESSION_BUSY),
    "nothing_msg": json_text(error_text(NOTHING_TO_REGENERATE)),
    "nothing": _failure(NOTHING_TO_REGENERATE),
    "full_msg": json_text(error_text(SESSION_FULL)),
    "full": _failure(SESSION_FULL),
    "tried_msg": json_text("This message has as many answers as it may have. Send another message."),
}


def _marks(outcome: TurnOutcome) -> str:
    """Return the fields of an answer besides its text, as JSON after a comma."""
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


def _partial(raw: bytes, open_turn: Mapping[str, Any]) -> Partial | None:
    """Read a partial answer; None when there is none of the open turn."""
    partial = parse_partial(raw)
    if partial is None or partial.turn != open_turn.get("id"):
        return None
    return replace(partial, regenerates=open_turn.get("regenerates"))


def _ending(turn: str, raw: bytes) -> Frame | None:
    """Read what ended a turn: an error frame, or an answer as the history holds it."""
    if not raw:
        return None
    found = orjson.loads(raw)
    return cast(Frame, found) if "type" in found else frame_of(found, turn)
