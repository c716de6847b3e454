"""A session whose Redis loses its last changes, and a message that is lost like this."""

from __future__ import annotations

from typing import Any

import orjson
from redis.asyncio import Redis

from pipeline.chat.records import Frame, Inbound
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import Closed
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from tests.pipeline.chat import talk
from tests.pipeline.chat.talk import answer, stored


def inbound(token: str, text: str) -> Inbound:
    """Return a message whose id is ``m-`` and its text."""
    return talk.inbound(token, text, f"m-{text}")


async def kept(redis: Redis, token: str) -> bytes:
    """Return the session as it is stored."""
    raw: bytes = await execute(redis, "JSON.GET", session_key(token))
    return raw


async def lose(redis: Redis, token: str, earlier: bytes) -> None:
    """Put a session back to what it was."""
    await execute(redis, "JSON.SET", session_key(token), "$", earlier)


async def answered(sessions: Sessions, message: Inbound, text: str) -> Frame:
    """Accept a message and close its turn; return the frame."""
    await sessions.accept(message, "ingest:0:1")
    closed = await sessions.close(answer(message.token, message.id, text), "deliver:0:1")
    assert isinstance(closed, Closed), closed
    return closed.frame


async def messages(sessions: Sessions, token: str) -> list[Any]:
    document = await sessions.get(token)
    assert document is not None
    return list(document["messages"])


class Lost:
    """A session that has lost its second message, and has gone on with a later one.

    Attributes:
        second: the lost message, restored behind the first one.
    """

    def __init__(self, sessions: RepairableSessions, token: str, redis: Redis) -> None:
        self.sessions = sessions
        self.token = token
        self.redis = redis
        self.second = inbound(token, "second").derive(follows="m-first", restored=True)

    async def happen(self, *, is_answered: bool) -> Frame | None:
        """Let the session lose its second message; return the answer to that."""
        await answered(self.sessions, inbound(self.token, "first"), "one")
        earlier = await kept(self.redis, self.token)
        await self.sessions.accept(self.second, "ingest:0:2")
        end: Frame | None = None
        if is_answered:
            end = await answered(self.sessions, self.second, "two")
        await lose(self.redis, self.token, earlier)
        return end

    async def history(self) -> list[str]:
        return [each["msg"] for each in await messages(self.sessions, self.token)]

    async def check(self) -> None:
        """Check that the session's own records of its history are right."""
        document, history = await stored(self.redis, self.token), await messages(self.sessions, self.token)
        assert document["_bytes"] == len(b"".join(orjson.dumps(each) for each in history))
        assert document["_places"] == {each["id"]: index for index, each in enumerate(history)}
        assert document["_ids"].keys() >= {each["id"] for each in history if each["msg"].startswith("Human")}
