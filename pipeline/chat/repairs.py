"""The operations that repair a session after Redis has lost its last changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import orjson

from pipeline.chat import restored
from pipeline.chat import session_scripts as scripts
from pipeline.chat.records import BOT, HUMAN, Frame, Inbound, TurnOutcome, answer_id, json_text
from pipeline.chat.results import (
    Accepted,
    Closed,
    Document,
    Ended,
    Gone,
    Missing,
    Opened,
    Queued,
    Stale,
    TurnRunning,
    Whereabouts,
)
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute_many
from pipeline.redis.keys import partial_key, presence_key, session_key
from pipeline.redis.scripts import run_scripts

# The last byte of a partial answer to read for its first line: a run number and a turn.
_PARTIAL_HEADER = 255

# The entry that stands for a web process which restores a lost answer.
_RESTORED = "restored"


class RepairableSessions(Sessions):
    """Sessions, and the operations that repair them; all are safe to repeat."""

    async def create_again(self, sessions: Iterable[Document]) -> None:
        """Create new sessions again, as they were, unless they exist.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable; this operation does not wait for it.
        """
        commands = [self._creation(session) for session in sessions]
        await run_scripts(self._redis, commands, (scripts.CREATE,))

    async def find(self, token: str, ids: Sequence[str]) -> Whereabouts | None:
        """Return the state of messages, without reading the history; None when the session has expired."""
        paths = [scripts.held_path(each) for each in ids]
        commands = [
            ("JSON.GET", session_key(token), *scripts.FOUND_PATHS, *dict.fromkeys(paths)),
            ("GETRANGE", partial_key(token), 0, _PARTIAL_HEADER),
        ]
        raw, partial = await self._run(lambda: execute_many(self._redis, commands))
        return None if raw is None else scripts.whereabouts(ids, orjson.loads(raw), partial)

    async def unfinished(self, token: str) -> tuple[str, list[Inbound]] | None:
        """Return the messages of a session that have not ended, and the one before; None for no session.

        Returns:
            The last message or answer before them, empty if there is none; then the message of the open
            turn, unless that is a request to regenerate, and those that wait.
        """
        found = await self._json(token, "$._turn", "$._inbox[*]", "$.messages[-2:].id")
        if found is None:
            return None
        open_turn, ids = found["$._turn"][0], found["$.messages[-2:].id"]
        messages: list[Inbound] = []
        if open_turn is not None and ids[-1:] == [open_turn["id"]]:
            last = await self._json(token, "$.messages[-1].id", "$.messages[-1].msg")
            if last is not None and last["$.messages[-1].id"] == ids[-1:]:
                messages.append(restored.inbound_of(token, ids.pop(), last["$.messages[-1].msg"][0]))
        elif open_turn is not None:
            ids.append(open_turn["id"])
        messages += [
            restored.inbound_of(
                token, each["id"], each["msg"], each.get("regenerate", False), each.get("edits")
            )
            for each in found["$._inbox[*]"]
        ]
        return next(reversed(ids), ""), messages

    async def accept_in_place(self, inbound: Inbound, entry: str) -> Accepted | Closed:
        """Accept a message, or put a restored one back into its place; see ``accept`` and ``put_back``."""
        (accepted,) = await self.accept_all_in_place([(inbound, entry)])
        return accepted

    async def accept_all_in_place(self, messages: Sequence[tuple[Inbound, str]]) -> list[Accepted | Closed]:
        """Accept messages of different sessions in one round trip, except those to put back.

        Raises:
            ValueError, redis.exceptions.RedisError: as ``accept_all``.
        """
        results: dict[int, Accepted | Closed] = {}
        for at, (inbound, entry) in enumerate(messages):
            if inbound.restored:
                placed = await self.put_back(inbound, entry)
                if placed is not None and not isinstance(placed, Stale):
                    results[at] = placed
        others = [at for at in range(len(messages)) if at not in results]
        accepted = await self.accept_all([messages[at] for at in others])
        results.update(zip(others, accepted, strict=True))
        return [results[at] for at in range(len(messages))]

    async def put_back(
        self, inbound: Inbound, entry: str, end: Frame | None = None
    ) -> Closed | Queued | Stale | Gone | Missing | None:
        """Put a message that the session had accepted and lost back into its place among later messages.

        Args:
            entry: the name of the stream entry that brought it.
            end: the frame that ended its turn, None if it has not ended.

        Returns:
            ``Closed`` when the history holds it in its place, ended by that frame, or by an error because a
            later message has begun; ``Queued`` when it waits before later messages; ``Stale`` when it has
            ended and the message before it has not; None, without a change, when the session holds it or it
            belongs at the end.
        """
        answer = end is not None and end["type"] == "message"
        reply = await self._run(
            lambda: scripts.RESTORE_MESSAGE(
                self._redis,
                [session_key(inbound.token), presence_key(inbound.token)],
                id=scripts.checked_id(inbound.id),
                entry=entry,
                msg="" if inbound.regenerate else json_text(HUMAN + inbound.text),
                fields=restored.waiting_fields(inbound),
                follows=scripts.checked_id(inbound.follows) if inbound.follows else "",
                answer=restored.history_item(end) if end is not None and answer else "",
                frame="" if end is None else orjson.dumps(end).decode(),
                frame_id=answer_id(inbound.id),
                is_error=int(not answer),
            )
        )
        return restored.restored_result(reply)

    async def restore(self, inbound: Inbound, end: Frame) -> Closed | Ended | Stale | Gone:
        """Store a message with its end again, because Redis has lost them after a client got the end.

        Args:
            inbound: the message; ``restored`` if its place is known.
            end: the frame that the client got, an answer or the error of the turn.

        Returns:
            ``Closed`` when both are stored, as a frame that no socket has taken; ``Ended`` when the turn is
            over, with this answer from now on; ``Stale`` when another turn is open.
        """
        if inbound.restored:
            placed = await self.put_back(inbound, _RESTORED, end)
            match placed:
                case Queued() | Missing():
                    return Stale()
                case Closed() | Stale() | Gone():
                    return placed
        accepted = await self.accept(inbound.derive(follows=None), _RESTORED)
        if isinstance(accepted, Ended):
            if end["type"] == "message":
                await self.restore_text(inbound.token, end)
            return accepted
        if isinstance(accepted, Gone):
            return accepted
        if not isinstance(accepted, Opened | TurnRunning):
            return Stale()
        outcome = TurnOutcome(token=inbound.token, turn=inbound.id)
        if end["type"] == "message":
            outcome.answer = end["msg"]
            outcome.stopped = end.get("stopped", False)
            outcome.incomplete = end.get("incomplete")
            outcome.shortened = end.get("shortened", False)
            outcome.usage = cast("dict[str, int] | None", end.get("usage"))
        else:
            outcome.error, outcome.detail = end["error"], end["msg"]
            outcome.retryable, outcome.retry_after = end["retryable"], end.get("retry_after")
        closed = await self.close(outcome, _RESTORED, timestamp=end["timestamp"])
        if isinstance(closed, Stale) and end["type"] == "message":  # deliver has just closed it
            await self.restore_text(inbound.token, end)
        return closed

    async def restore_text(self, token: str, answer: Frame) -> None:
        """Give an answer of the history the text and time with which its client has seen it."""
        await self._run(
            lambda: scripts.RESTORE_ANSWER(
                self._redis,
                [session_key(token)],
                id=answer["id"],
                id_path=scripts.place_path(answer["id"]),
                msg=json_text(BOT + answer["msg"]),
                timestamp=answer["timestamp"],
            )
        )
