"""Every right that a script uses is withdrawn while it runs, and comes back: no script is left half done."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pipeline.chat import session_scripts as scripts
from pipeline.chat.records import Frame, Inbound, answer_id
from pipeline.chat.repairs import RepairableSessions
from pipeline.redis.client import connect, execute
from pipeline.redis.keys import session_key
from pipeline.redis.scripts import Script
from pipeline.settings import Settings
from tests.pipeline.chat.talk import answer, failure, inbound, stored

TOKEN = "session-under-test"
SEEN: Frame = {
    "type": "message",
    "id": "f",
    "turn": "m-lost",
    "msg": "as it was seen",
    "timestamp": "2026-01-01T00:00:00.000000Z",
}


@dataclass
class Case:
    """A change of a session, in a state that other changes have brought about."""

    script: Script
    before: tuple[Callable[[RepairableSessions], Awaitable[Any]], ...]
    change: Callable[[RepairableSessions], Awaitable[Any]]


def say(text: str, **more: Any) -> Callable[[RepairableSessions], Awaitable[Any]]:
    message: Inbound = inbound(TOKEN, text, f"m-{text}").derive(**more)
    return lambda sessions: sessions.accept(message, f"ingest:0:{text}")


def end(text: str, reply: str | None = None) -> Callable[[RepairableSessions], Awaitable[Any]]:
    turn = f"m-{text}"
    outcome = failure(TOKEN, turn) if reply is None else answer(TOKEN, turn, reply)
    outcome.refused = reply is None
    return lambda sessions: sessions.close(outcome, f"deliver:0:{text}")


ANSWERED = (say("one"), end("one", "1"))
CASES = {
    "a message opens its turn": Case(scripts.ACCEPT, (), say("one")),
    "a message waits": Case(scripts.ACCEPT, (say("one"),), say("two")),
    "a message is refused": Case(scripts.ACCEPT, (say("one"), say("two"), say("three")), say("four")),
    "an edit": Case(scripts.ACCEPT, ANSWERED, say("two", edits="*")),
    "a request to regenerate": Case(scripts.ACCEPT, ANSWERED, say("again", regenerate=True)),
    "an answer": Case(scripts.CLOSE, (say("one"),), end("one", "1")),
    "an answer that another one follows": Case(scripts.CLOSE, (say("one"), say("two")), end("one", "1")),
    "an answer that an edit follows": Case(
        scripts.CLOSE, (say("one"), say("two", edits="m-one")), end("one", "1")
    ),
    "another answer": Case(scripts.CLOSE, (*ANSWERED, say("again", regenerate=True)), end("again", "2")),
    "an error": Case(scripts.CLOSE, (say("one"),), end("one")),
    "an error for an unknown message": Case(scripts.CLOSE, (), end("one")),
    "a stop": Case(scripts.STOP, (say("one"),), lambda sessions: sessions.stop(TOKEN)),
    "a stop of a waiting message": Case(
        scripts.STOP, (say("one"), say("two")), lambda sessions: sessions.stop(TOKEN, "m-two")
    ),
    "frames that were sent": Case(
        scripts.MARK_SENT,
        (*ANSWERED, say("two"), end("two", "2"), say("three"), end("three", "3")),
        lambda sessions: _mark_all(sessions),
    ),
    "a refused message that is tried again": Case(
        scripts.REVIVE, (end("one"),), lambda sessions: sessions.revive(TOKEN, "m-one")
    ),
    "an answer that is restored": Case(
        scripts.RESTORE_ANSWER,
        ANSWERED,
        lambda sessions: sessions.restore_text(TOKEN, {**SEEN, "id": answer_id("m-one")}),
    ),
}


async def _mark_all(sessions: RepairableSessions) -> None:
    unsent = [answer_id(f"m-{text}") for text in ("one", "three")]
    await sessions.mark_sent(TOKEN, unsent)


def commands(script: Script) -> set[str]:
    """Return the commands that a script calls."""
    return {name.lower() for name in re.findall(r"redis\.p?call\('([A-Za-z.]+)'", script.text)}


def rid_of_times(value: Any) -> Any:
    """Return a value of JSON without the times in it."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "now", json.dumps(value))
    return json.loads(text)


@pytest.mark.parametrize("name", CASES)
async def test_a_right_withdrawn_for_a_moment_leaves_no_change_half_done(
    redis: Redis, redis_url: str, name: str
) -> None:
    case = CASES[name]
    plain = RepairableSessions(redis, Settings(inbox_limit=2))
    await execute(redis, "ACL", "SETUSER", "ada", "on", ">x", "~*", "&*", "+@all")
    other = connect(redis_url.replace("unix://", "unix://ada:x@"))
    limited = RepairableSessions(other, Settings(inbox_limit=2), patience=0.01)

    async def prepared() -> None:
        await execute(redis, "DEL", session_key(TOKEN))
        await scripts.CREATE(redis, [session_key(TOKEN)], token=TOKEN, name='"Ada"', ttl=60, started="")
        for step in case.before:
            await step(plain)

    try:
        await prepared()
        await case.change(plain)
        wanted = rid_of_times(await stored(redis, TOKEN))
        for command in commands(case.script):
            await prepared()
            await execute(redis, "ACL", "SETUSER", "ada", f"-{command}")
            for _ in range(2):
                try:
                    await case.change(limited)
                except ResponseError:
                    continue
            await execute(redis, "ACL", "SETUSER", "ada", f"+{command}")
            await case.change(limited)
            assert rid_of_times(await stored(redis, TOKEN)) == wanted, command
    finally:
        await other.aclose()
        await execute(redis, "ACL", "DELUSER", "ada")
