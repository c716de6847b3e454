"""A Redis whose clock was set back, by hand or because another server took over."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from redis.asyncio import Redis

from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from tests.pipeline.chat.talk import Talk

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


async def set_back(redis: Redis, token: str, hours: int) -> None:
    """Move all times of a session, as if the clock of Redis had been set back."""

    def moved(found: re.Match[str]) -> str:
        return (datetime.strptime(found[0], _FORMAT) + timedelta(hours=hours)).strftime(_FORMAT)

    raw: bytes = await execute(redis, "JSON.GET", session_key(token))
    later = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]{15}Z", moved, raw.decode())
    await execute(redis, "JSON.SET", session_key(token), "$", later)


@pytest.mark.parametrize("hours", [1, 24])
async def test_a_client_that_returns_gets_the_answers_since_its_last_one(
    sessions: Sessions, redis: Redis, token: str, hours: int
) -> None:
    talk = Talk(sessions, token)
    seen = await talk.say("one", "1")
    await set_back(redis, token, hours)
    await talk.say("two", "2")
    await talk.ask("three")
    await talk.end("m-three", error="model_timeout")
    await talk.say("four", "4")
    missed = await talk.missed(seen["id"])
    assert (missed[0], missed[2]) == ("2", "4")
    times = [message["timestamp"] for message in await talk.messages()]
    assert times == sorted(times)


async def test_a_socket_gets_what_ended_during_an_outage(
    sessions: Sessions, redis: Redis, token: str
) -> None:
    talk = Talk(sessions, token)
    first = await talk.say("one", "1")
    await set_back(redis, token, 1)
    connected = await sessions.snapshot(token)
    assert connected is not None
    second = await talk.say("two", "2")
    await sessions.mark_sent(token, [first["id"], second["id"]])  # another socket has taken them
    after = await sessions.snapshot(token, since=connected.time)
    assert after is not None
    assert [each["msg"] for each in after.finished or ()] == ["2"]
