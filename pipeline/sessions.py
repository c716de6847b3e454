"""Sessions: one RedisJSON document each, changed only by scripts that can be run twice with one effect.

    session:{<token>}       RedisJSON, lives SESSION_TTL seconds
        token, name, session_start, messages [{id, msg, timestamp}]      what clients see
        _turn    {id, entry} | null         the open turn, and the stream entry that opened it
        _last    {turn, entry, frame} | null        the turn closed last, and the entry that closed it
        _inbox   [{id, msg, timestamp}]     messages that wait for their turn, as the history will hold them
        _ids     {message id: "accepted" | "refused"}
        _unsent  [frame]                    answers and errors that no socket has taken yet

A worker that dies between a script and the messages that follow from it gets its stream entry again. The
script then replies as it did before, but only to that entry: a second entry with the same content (a client's
repeat, a turn that was asked twice) is told so and sends nothing, or every later turn would be asked twice.

No operation but `get` reads the history beyond its last few messages.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, cast

from redis.asyncio import Redis

from pipeline.errors import SessionGone
from pipeline.lua_scripts import Code, Script
from pipeline.messages import (
    BOT,
    HUMAN,
    SESSION_BUSY,
    Frame,
    Inbound,
    Outcome,
    answer_id,
    error_text,
    json_text,
)
from pipeline.redis_client import execute, outlasting
from pipeline.settings import Settings

T = TypeVar("T")

_CREATE = Script("create_session", keys=1, arguments=("token", "name", "ttl"))
_ACCEPT = Script(
    "accept_message",
    keys=1,
    arguments=("id", "id_path", "entry", "msg", "inbox_limit", "ttl", "frame_id", "frame_msg", "failure"),
)
_CLOSE = Script(
    "close_turn", keys=1, arguments=("turn", "turn_path", "entry", "msg", "frame_id", "frame_msg", "failure")
)

# What a message id may hold: it becomes part of a JSON path, where a quote would end it.
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Message(TypedDict):
    """One message of the history; `msg` carries its prefix, `timestamp` is ISO 8601 in UTC."""

    id: str
    msg: str
    timestamp: str


class Document(TypedDict):
    """A session as clients see it."""

    token: str
    messages: list[Message]
    name: str
    session_start: str


@dataclass(frozen=True)
class Opened:
    """The message has its turn now, or had got it from this very entry."""

    turn: str


@dataclass(frozen=True)
class Queued:
    """The message waits for its turn."""


@dataclass(frozen=True)
class Duplicate:
    """The message was accepted before; whoever accepted it sees to it."""


@dataclass(frozen=True)
class Refused:
    """The message was not accepted, now or before; the frame says why."""

    code: str
    frame: Frame


@dataclass(frozen=True)
class Closed:
    """The turn is closed, now or by this very entry before; `next_turn` is the one opened in its place."""

    frame: Frame
    next_turn: str | None


@dataclass(frozen=True)
class Stale:
    """The turn is not open: another entry closed it."""


@dataclass(frozen=True)
class Gone:
    """The session expired or never existed."""


def session_key(token: str) -> str:
    """Return the key of a session's document."""
    return f"session:{{{token}}}"


def is_message_id(text: str) -> bool:
    """Return whether `text` may be the id of a message: 1 to 128 letters, digits, `_`, `.`, `:` and `-`."""
    return _ID.fullmatch(text) is not None


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

    async def create(self, name: str) -> Document:
        """Store and return a new session, which lives SESSION_TTL seconds."""
        token = str(uuid.uuid4())
        ttl = self._settings.session_ttl
        started = await self._run(
            lambda: _CREATE(self._redis, [session_key(token)], token=token, name=json_text(name), ttl=ttl)
        )
        session_start = json.loads(started)[0]
        return {"token": token, "messages": [], "name": name, "session_start": session_start}

    async def get(self, token: str) -> Document | None:
        """Return the whole session without what is internal, None when there is none."""
        found = await self._json(token, "$.token", "$.messages", "$.name", "$.session_start")
        if found is None:
            return None
        return cast(Document, {path.removeprefix("$."): values[0] for path, values in found.items()})

    async def exists(self, token: str) -> bool:
        """Return whether the session is there, without reading it."""
        return bool(await self._run(lambda: execute(self._redis, "EXISTS", session_key(token))))

    async def accept(self, inbound: Inbound, entry: str = "") -> Opened | Queued | Duplicate | Refused | Gone:
        """Take a message into the session: it gets its turn now, waits for it, or is refused.

        Args:
            inbound: its id decides what is a repeat.
            entry: names the stream entry that brought it.

        Raises:
            ValueError: the id is none; see `is_message_id`.
        """
        path = _id_path(inbound.id)
        settings = self._settings
        reply = await self._run(
            lambda: _ACCEPT(
                self._redis,
                [session_key(inbound.token)],
                id=inbound.id,
                id_path=path,
                entry=entry,
                msg=json_text(HUMAN + inbound.text),
                inbox_limit=settings.inbox_limit,
                ttl=settings.session_ttl if settings.session_ttl_sliding else 0,
                frame_id=answer_id(inbound.id),
                frame_msg=json_text(error_text(SESSION_BUSY)),
                failure=json_text(SESSION_BUSY),
            )
        )
        match Code(reply[0]):
            case Code.OPENED:
                return Opened(inbound.id)
            case Code.QUEUED:
                return Queued()
            case Code.DUPLICATE:
                return Duplicate()
            case Code.REFUSED:
                return Refused(SESSION_BUSY, json.loads(reply[1]))
            case Code.GONE:
                return Gone()
            case other:
                raise AssertionError(f"accept_message replied {other!r}")

    async def context(self, token: str, turn: str, count: int) -> list[str] | None:
        """Return the `msg` of the last `count` messages, or None when `turn` is not the open one.

        Raises:
            SessionGone: the session expired.
        """
        messages = f"$.messages[-{count}:].msg"
        found = await self._json(token, "$._turn.id", messages)
        if found is None:
            raise SessionGone(token)
        return cast("list[str]", found[messages]) if found["$._turn.id"] == [turn] else None

    async def close(self, outcome: Outcome, entry: str = "") -> Closed | Stale | Gone:
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
        answer = outcome.answer if outcome.error is None and outcome.answer is not None else None
        text = answer if answer is not None else outcome.detail or error_text(str(outcome.error))
        reply = await self._run(
            lambda: _CLOSE(
                self._redis,
                [session_key(outcome.token)],
                turn=outcome.turn,
                turn_path=path,
                entry=entry,
                msg="" if answer is None else json_text(BOT + answer),
                frame_id=answer_id(outcome.turn),
                frame_msg=json_text(text),
                failure="" if answer is not None else json_text(str(outcome.error)),
            )
        )
        match Code(reply[0]):
            case Code.CLOSED:
                return Closed(json.loads(reply[1]), reply[2].decode() if len(reply) > 2 else None)
            case Code.STALE:
                return Stale()
            case Code.GONE:
                return Gone()
            case other:
                raise AssertionError(f"close_turn replied {other!r}")

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
            ("JSON.DEL", session_key(token), f'$._unsent[?(@.id=="{_checked(frame_id)}")]')
            for token, ids in sent.items()
            for frame_id in ids
        ]

        async def forget() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                await pipe.execute()

        if commands:
            await self._run(forget)

    async def _json(self, token: str, *paths: str) -> dict[str, list[Any]] | None:
        """Read several paths of a session in one command; None when it is gone."""
        raw = await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), *paths))
        return None if raw is None else cast("dict[str, list[Any]]", json.loads(raw))

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await outlasting(operation, patience=self._patience)


def _checked(text: str) -> str:
    if not is_message_id(text):
        raise ValueError(f"not the id of a message: {text[:140]!r}")
    return text


def _id_path(message_id: str) -> str:
    return f'$._ids["{_checked(message_id)}"]'
