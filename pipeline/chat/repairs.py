"""The operations that repair a session after Redis has lost its last changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import orjson

from pipeline.chat import session_scripts as scripts
from pipeline.chat.records import BOT, Frame, Inbound, TurnOutcome, json_text
from pipeline.chat.results import Closed, Document, Ended, Gone, Opened, Stale, TurnRunning, Whereabouts
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute_many
from pipeline.redis.keys import partial_key, session_key
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
        paths = [scripts.id_path(each) for each in ids]
        commands = [
            ("JSON.GET", session_key(token), *scripts.FOUND_PATHS, *dict.fromkeys(paths)),
            ("GETRANGE", partial_key(token), 0, _PARTIAL_HEADER),
        ]
        raw, partial = await self._run(lambda: execute_many(self._redis, commands))
        return None if raw is None else scripts.whereabouts(ids, orjson.loads(raw), partial)

    async def restore(self, inbound: Inbound, answer: Frame) -> Closed | Ended | Stale | Gone:
        """Store a message with its answer again, because Redis has lost them after a client got the answer.

        Args:
            answer: the frame that the client got.

        Returns:
            ``Closed`` when both are stored, as a frame that no socket has taken; ``Ended`` when the turn is
            over, with this answer from now on; ``Stale`` when another turn is open.
        """
        accepted = await self.accept(inbound, _RESTORED)
        if isinstance(accepted, Ended):
            await self.restore_text(inbound.token, answer)
        if isinstance(accepted, Ended | Gone):
            return accepted
        if not isinstance(accepted, Opened | TurnRunning):
            return Stale()
        outcome = TurnOutcome(
            token=inbound.token,
            turn=inbound.id,
            answer=answer["msg"],
            stopped=answer.get("stopped", False),
            incomplete=answer.get("incomplete"),
            shortened=answer.get("shortened", False),
            usage=cast("dict[str, int] | None", answer.get("usage")),
        )
        closed = await self.close(outcome, _RESTORED, timestamp=answer["timestamp"])
        if isinstance(closed, Stale):  # deliver has just closed it
            await self.restore_text(inbound.token, answer)
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
