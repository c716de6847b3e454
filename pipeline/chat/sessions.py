"""Store each session as one RedisJSON document, changed only by idempotent scripts.

    session:{<token>}       RedisJSON, lives SESSION_TTL seconds
        token, name, session_start, messages [{id, msg, timestamp}]      what clients see
        _turn    {id, entry} | null         the open turn, and the entry that opened it; ``regenerates``:
                                            the id of the answer to replace; ``stopped``: true once stopped
        _last    {turn, entry, frame} | null        the turn closed last, and the entry that closed it
        _inbox   [{id, msg, timestamp}]     messages that wait for their turn, in the history's format, with
                                            ``edits`` for an edit and ``regenerate`` for another answer
        _stops   {message id: true}         waiting messages that the user has stopped
        _ids     {message id: stream entry that brought it}
        _places  {message or answer id: its index in ``messages``}, which spares a search for repeats
        _bytes   the size of ``messages`` and ``_inbox`` as JSON
        _summary [the latest time that the session has given, the id of the message accepted last,
                 the number of refused messages in ``_ids``], which spares a look at all places for them
        _refused [message id]               messages that the model refuses, left out of contexts
        _errors  [frame]                    the latest errors, which are not part of the history
        _unsent  [frame]                    answers and errors that no socket has taken yet

When a worker dies between a script and the messages that follow from it, its stream entry is delivered again.
The script then repeats its first reply, but only for that entry. Another entry with the same content (a
client's repeat, a turn that was sent twice) gets a different reply and sends nothing; otherwise every later
turn would be answered twice.

Only ``document`` and a catch-up read more than the last few messages of the history; reads of one session run
one after the other, see ``pipeline.chat.shared_reads``. The size of a session is bounded by
SESSION_MAX_MESSAGES, SESSION_MAX_BYTES and the limits in ``lua/includes``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

import orjson
from redis.asyncio import Redis

from faust_redis.redis import Command
from pipeline.chat import session_scripts as scripts
from pipeline.chat.catch_up import Recent, oldest_within, resume, resume_lost, resume_since
from pipeline.chat.records import HUMAN, Frame, Inbound, TurnOutcome, answer_id, json_text
from pipeline.chat.results import (
    Accepted,
    Closed,
    Context,
    Document,
    Gone,
    Page,
    Queued,
    Revival,
    SessionSnapshot,
    Stale,
    Stopped,
)
from pipeline.chat.session_scripts import is_message_id
from pipeline.chat.shared_reads import SharedReads
from pipeline.chat.tokens import Tokens
from pipeline.redis.client import execute, retry_until_available
from pipeline.redis.keys import partial_key, presence_key, session_key
from pipeline.redis.scripts import Code, Script, load_scripts, run_scripts
from pipeline.settings import Settings

T = TypeVar("T")

# Reads all messages, because no history is longer.
_ALL = 1_000_000_000
# Numbers of messages to read for a reconnecting client, smallest first, because most were away for a moment.
# The next number is read only if the messages do not reach back to the client's last one.
_TAILS: Final = (64, 512, _ALL)

# Ids that a session remembers, per message that its history may hold: refused messages and requests to
# regenerate need an id without adding to the history.
_IDS_PER_MESSAGE = 2


class Sessions:
    """Run the operations on sessions; each waits while Redis is unavailable, and is safe to repeat."""

    def __init__(self, redis: Redis, settings: Settings, *, patience: float | None = None) -> None:
        """Store the client.

        Args:
            patience: seconds to wait for Redis before its error is raised; None, for agents, waits without
                limit.
        """
        self._redis = redis
        self._settings = settings
        self._patience = patience
        self._tokens = Tokens(settings.partitions)
        self._reads = SharedReads()

    async def prepare(self) -> None:
        """Connect and load the scripts, so that the first operation waits for neither."""
        await self._run(lambda: load_scripts(self._redis, scripts.SCRIPTS))

    async def aclose(self) -> None:
        """Cancel the reads that still run; the client stays open."""
        await self._reads.aclose()

    async def create(self, name: str) -> Document:
        """Create a session, which lives SESSION_TTL seconds."""
        session: Document = {"token": self._tokens.draw(), "messages": [], "name": name, "session_start": ""}
        command = self._creation(session)
        (started,) = await self._run(lambda: run_scripts(self._redis, [command], (scripts.CREATE,)))
        session["session_start"] = json.loads(started)[0]
        return session

    def _creation(self, session: Document) -> tuple[Any, ...]:
        return scripts.CREATE.command(
            [session_key(session["token"])],
            token=session["token"],
            name=json_text(session["name"]),
            ttl=self._settings.session_ttl,
            started=session["session_start"],
        )

    async def document(self, token: str) -> bytes | None:
        """Return the complete session for clients, as JSON; None when it has expired.

        Concurrent callers for one session share one read; cancelling a caller does not cancel the read.
        """
        fields = ("token", "name", "session_start", "messages")

        async def read() -> bytes | None:
            return cast(
                "bytes | None",
                await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), *fields)),
            )

        return await self._reads.run(token, "document", read)

    async def get(self, token: str) -> Document | None:
        """Return the complete session without its internal fields; None when it has expired."""
        raw = await self.document(token)
        return None if raw is None else cast(Document, orjson.loads(raw))

    async def page(self, token: str, limit: int, before: str | None = None) -> Page | None:
        """Return the last ``limit`` messages, or the last ones before a message; None for no session.

        Args:
            before: the id of a message or an answer.

        Raises:
            LookupError: the history does not hold ``before``.
        """
        if before is not None and not is_message_id(before):
            raise LookupError(before)
        path = "" if before is None else scripts.place_path(before)
        reply = await self._run(
            lambda: scripts.PAGE(self._redis, [session_key(token)], before_path=path, limit=limit)
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
        """Return whether the session exists, without reading it."""
        return bool(await self._run(lambda: execute(self._redis, "EXISTS", session_key(token))))

    async def expires_at(self, token: str) -> datetime | None:
        """Return the time in UTC at which a session expires unless renewed; None when it has expired."""
        at = await self._run(lambda: execute(self._redis, "PEXPIRETIME", session_key(token)))
        return datetime.fromtimestamp(at / 1000, UTC) if at > 0 else None

    async def accept(self, inbound: Inbound, entry: str = "") -> Accepted:
        """Accept a message, an edit or a request for another answer: open its turn, queue it or refuse it.

        An edit replaces the last human message and its answer, which stay in the history as a branch. If the
        message to replace is not the last human message any more, the edit counts as a new message.

        Args:
            inbound: the message; one with the same id is a repeat.
            entry: the name of the stream entry that brought it.

        Raises:
            ValueError: the id, or that of the message to replace or to follow, fails ``is_message_id``.
        """
        (accepted,) = await self.accept_all([(inbound, entry)])
        return accepted

    async def accept_all(self, messages: Iterable[tuple[Inbound, str]]) -> list[Accepted]:
        """Accept messages of different sessions in one round trip, each with its entry, like ``accept``.

        Raises:
            ValueError: as ``accept``.
            redis.exceptions.RedisError: one of several messages could not be accepted; others may have been.
        """
        given = list(messages)
        commands = [self._acceptance(inbound, entry) for inbound, entry in given]
        replies = await self._run_all(commands, scripts.ACCEPT)
        return [
            scripts.accept_result(inbound.id, reply)
            for (inbound, _), reply in zip(given, replies, strict=True)
        ]

    def _acceptance(self, inbound: Inbound, entry: str) -> Command:
        token, settings = inbound.token, self._settings
        return scripts.ACCEPT.command(
            [session_key(token), presence_key(token)],
            id=scripts.checked_id(inbound.id),
            entry=entry,
            msg="" if inbound.regenerate else json_text(HUMAN + inbound.text),
            inbox_limit=settings.inbox_limit,
            ttl=settings.session_ttl if settings.session_ttl_sliding else 0,
            max_messages=settings.session_max_messages,
            max_bytes=settings.session_max_bytes,
            max_ids=settings.session_max_messages * _IDS_PER_MESSAGE,
            frame_id=answer_id(inbound.id),
            edits=scripts.edited_id(inbound.edits),
            follows="" if inbound.follows is None else scripts.checked_id(inbound.follows),
        )

    async def context(self, token: str, turn: str, count: int) -> Context | Stale | Gone:
        """Return the last ``count`` messages for the model, see ``contexts``."""
        (context,) = await self.contexts([(token, turn)], count)
        return context

    async def contexts(self, turns: Iterable[tuple[str, str]], count: int) -> list[Context | Stale | Gone]:
        """Return the last ``count`` messages for the model of turns of different sessions, in one round trip.

        Args:
            turns: the token and the turn of each.

        Returns:
            For each turn its context, ``Stale`` if it is not open, or ``Gone`` if the session has expired.

        Raises:
            redis.exceptions.RedisError: one of several sessions could not be read.
        """
        given = list(turns)
        paths = scripts.context_paths(count)
        commands = [("JSON.GET", session_key(token), *paths) for token, _ in given]
        replies = await self._run_all(commands)
        return [
            scripts.context_result(turn, count, reply)
            for (_, turn), reply in zip(given, replies, strict=True)
        ]

    async def close(
        self, outcome: TurnOutcome, entry: str = "", *, timestamp: str = ""
    ) -> Closed | Stale | Gone:
        """Close a turn with its outcome, and open the turn of the next waiting message.

        An error for a message that the session has not accepted refuses the message, so that its sender gets
        an error frame.

        Args:
            outcome: its answer goes into the history, its error only to clients.
            entry: the name of the stream entry that brought it.
            timestamp: the time of the end, empty for now.

        Raises:
            ValueError: the turn's id fails ``is_message_id``, or there is neither an answer nor an error.
        """
        command = scripts.close_command(outcome, entry, timestamp)
        (reply,) = await self._run_all([command], scripts.CLOSE)
        return scripts.close_result(reply)

    async def close_all(self, outcomes: Iterable[tuple[TurnOutcome, str]]) -> list[Closed | Stale | Gone]:
        """Close turns of different sessions in one round trip, each with its entry, like ``close``.

        Raises:
            ValueError: as ``close``.
            redis.exceptions.RedisError: one of several turns could not be closed; others may have been.
        """
        commands = [scripts.close_command(outcome, entry) for outcome, entry in outcomes]
        return [scripts.close_result(reply) for reply in await self._run_all(commands, scripts.CLOSE)]

    async def stop(self, token: str, turn: str | None = None) -> Stopped | Queued | Stale | Gone:
        """Mark a turn as stopped: the open one, or the one named, which may still wait.

        Returns:
            ``Stale`` when there is nothing to stop, ``Queued`` for a turn that will be stopped once it opens.
        """
        if turn is not None:
            scripts.checked_id(turn)
        keys = [session_key(token), partial_key(token)]
        reply = await self._run(lambda: scripts.STOP(self._redis, keys, turn=turn or ""))
        return scripts.stop_result(reply)

    async def revive(self, token: str, turn: str) -> Revival:
        """Prepare a message that ended with an error for another try."""
        path = scripts.id_path(turn)
        reply = await self._run(
            lambda: scripts.REVIVE(
                self._redis, [session_key(token)], id=turn, id_path=path, frame_id=answer_id(turn)
            )
        )
        return scripts.REVIVALS[Code(reply[0])]

    async def snapshot(
        self, token: str, after: str | None = None, *, since: str | None = None
    ) -> SessionSnapshot | None:
        """Return the state of a session for a socket that connects; None when the session has expired.

        Reads of one session run one after the other; callers with the same arguments share the next read.

        Args:
            after: the id of a message; the snapshot includes the frames that ended turns since then.
            since: the ``time`` of an earlier snapshot, used like ``after`` if that is None.
        """
        return await self._reads.run(token, (after, since), lambda: self._snapshot(token, after, since))

    async def _snapshot(self, token: str, after: str | None, since: str | None) -> SessionSnapshot | None:
        keys = [session_key(token), partial_key(token)]
        paths = _places_after(after)
        for tail in (0,) if after is None and since is None else _TAILS:
            reply = await self._run(lambda tail=tail: scripts.READ(self._redis, keys, tail=tail, **paths))  # type: ignore[misc]
            if Code(reply[0]) is Code.GONE:
                return None
            found = orjson.loads(reply[1])
            open_turn = found["$._turn"][0] or {}
            view: SessionSnapshot | None = SessionSnapshot(oldest_within(found["$._unsent"][0]))
            waiting = [each["id"] for each in found["$._inbox[*]"]] if tail else found["$._inbox[*].id"]
            if tail:
                session = _recent(found, tail)
                view = resume(session, after) if after is not None else resume_since(session, str(since))
                if view is None and after is not None and not reply[4]:
                    view = resume_lost(session)
            if view is not None:
                return replace(
                    view,
                    partial=scripts.running_answer(reply[2], open_turn),
                    time=reply[3].decode(),
                    open_turn=open_turn.get("id"),
                    waiting=tuple(waiting),
                )
        raise AssertionError("the complete history always gives a snapshot")

    async def unsent(self, token: str) -> list[Frame]:
        """Return the frames that no socket has taken yet, oldest first; empty for an expired session."""
        raw = await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), "$._unsent"))
        return [] if raw is None else cast("list[Frame]", json.loads(raw)[0])

    async def mark_sent(self, token: str, ids: Sequence[str]) -> None:
        """Remove frames that a socket has taken from the unsent ones."""
        await self.mark_sent_many({token: ids})

    async def mark_sent_many(self, sent: Mapping[str, Sequence[str]]) -> None:
        """Remove frames that sockets have taken, given as ids by token, in one round trip."""
        commands = [
            scripts.MARK_SENT.command([session_key(token)], ids=" ".join(map(scripts.checked_id, ids)))
            for token, ids in sent.items()
        ]
        if commands:
            await self._run(lambda: run_scripts(self._redis, commands, (scripts.MARK_SENT,)))

    async def _run_all(self, commands: Sequence[Command], *called: Script) -> list[Any]:
        """Run commands in one round trip; wait for Redis only with one command.

        Several are not repeated together, because those for a part of a cluster that is away would hold up
        the others: the caller repeats each alone.
        """
        if len(commands) > 1:
            return await run_scripts(self._redis, commands, called)
        return await self._run(lambda: run_scripts(self._redis, commands, called))

    async def _json(self, token: str, *paths: str) -> dict[str, list[Any]] | None:
        """Read several paths of a session in one command; return None when it has expired."""
        raw = await self._run(lambda: execute(self._redis, "JSON.GET", session_key(token), *paths))
        return None if raw is None else cast("dict[str, list[Any]]", orjson.loads(raw))

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await retry_until_available(operation, patience=self._patience)


def _recent(found: Mapping[str, Any], tail: int) -> Recent:
    """Return the recent past of a session from the reply of `read_session`, which holds `tail` messages."""
    history = found[f"$.messages[-{tail}:]"]
    return Recent(
        messages=history,
        errors=found["$._errors"][0],
        unsent=oldest_within(found["$._unsent"][0]),
        waiting=found["$._inbox[*]"],
        open_turn=(found["$._turn"][0] or {}).get("id"),
        whole=tail == _ALL or len(history) < tail,
    )


def _places_after(after: str | None) -> dict[str, str]:
    """Return where `read_session` finds the places of a message and its answer, empty paths for none."""
    if after is None or not is_message_id(after):
        return {"after_path": "", "answer_path": ""}
    return {"after_path": scripts.place_path(after), "answer_path": scripts.place_path(answer_id(after))}
