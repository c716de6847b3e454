"""A session that a test controls: it sends all messages and answers."""

from __future__ import annotations

import json
import uuid
from typing import Any

from redis.asyncio import Redis

from pipeline.chat.records import ANY_LAST, Frame, Inbound, TurnOutcome
from pipeline.chat.results import Closed, Opened
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key


def inbound(token: str, text: str, message_id: str | None = None) -> Inbound:
    return Inbound(token=token, id=message_id or str(uuid.uuid4()), text=text, sent_at=0.0)


def answer(token: str, turn: str, text: str) -> TurnOutcome:
    return TurnOutcome(token=token, turn=turn, answer=text)


def failure(token: str, turn: str, code: str = "model_timeout", detail: str | None = None) -> TurnOutcome:
    return TurnOutcome(token=token, turn=turn, error=code, detail=detail)


async def stored(redis: Redis, token: str) -> Any:
    """Return the session's document as Redis holds it."""
    raw = await execute(redis, "JSON.GET", session_key(token), "$")
    return json.loads(raw)[0]


class Talk:
    """A session; a message's id is ``m-`` and its text, unless it is given another."""

    def __init__(self, sessions: Sessions, token: str) -> None:
        self.sessions = sessions
        self.token = token

    async def ask(self, text: str, entry: str = "", *, message_id: str = "") -> Any:
        return await self.sessions.accept(inbound(self.token, text, message_id or f"m-{text}"), entry)

    async def edit(self, message_id: str, text: str, replaces: str = ANY_LAST, entry: str = "") -> Any:
        message = Inbound(token=self.token, id=message_id, text=text, sent_at=0.0, edits=replaces)
        return await self.sessions.accept(message, entry)

    async def regenerate(self, request: str, entry: str = "") -> Any:
        message = Inbound(token=self.token, id=request, text="", sent_at=0.0, regenerate=True)
        return await self.sessions.accept(message, entry)

    async def close(self, turn: str, answer: str | None = None, entry: str = "", **more: Any) -> Closed:
        outcome = TurnOutcome(token=self.token, turn=turn, answer=answer, **more)
        closed = await self.sessions.close(outcome, entry)
        assert isinstance(closed, Closed), closed
        return closed

    async def end(self, turn: str, answer: str | None = None, entry: str = "", **more: Any) -> Frame:
        return (await self.close(turn, answer, entry, **more)).frame

    async def say(self, text: str, answer: str) -> Frame:
        assert await self.ask(text) == Opened(f"m-{text}")
        return await self.end(f"m-{text}", answer)

    async def messages(self) -> list[dict[str, Any]]:
        document = await self.sessions.get(self.token)
        assert document is not None
        return [dict(message) for message in document["messages"]]

    async def history(self) -> list[str]:
        return [message["msg"] for message in await self.messages()]

    async def missed(self, after: str) -> list[str]:
        view = await self.sessions.snapshot(self.token, after)
        assert view is not None
        assert view.resumed
        assert view.finished is not None
        return [frame["msg"] for frame in view.finished]
