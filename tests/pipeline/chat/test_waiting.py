"""The ages of the inboxes, against the sessions themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from pipeline.chat import waiting
from pipeline.chat.waiting import inboxes, note_waiting
from pipeline.redis.client import execute
from pipeline.redis.keys import WAITING, session_key

TOKENS = [f"{number}-0000-4000-8000-000000000000" for number in range(8)]


async def put(redis: Redis, token: str, *ages: float) -> None:
    now = (await redis.time())[0]
    times = [datetime.fromtimestamp(now - age, UTC).isoformat() for age in ages]
    session = {"_inbox": [{"id": str(number), "timestamp": time} for number, time in enumerate(times)]}
    await execute(redis, "JSON.SET", session_key(token), "$", json.dumps(session))


async def test_nothing_waits_where_nothing_was_noted(redis: Redis) -> None:
    assert await inboxes(redis) == waiting.Inboxes()


async def test_ages_are_those_of_the_sessions_and_tokens_are_masked(redis: Redis) -> None:
    for number, token in enumerate(TOKENS):
        await put(redis, token, *[10.0 * (number + 1), 1.0][: 1 + number % 2])
        await note_waiting(redis, [token])
    seen = await inboxes(redis)
    assert (seen.sessions, seen.messages, seen.is_complete) == (8, 12, True)
    assert seen.oldest_age == pytest.approx(80, abs=2)
    assert seen.p50_age == pytest.approx(40, abs=2)
    assert seen.p99_age == seen.oldest_age
    assert [(each.session, each.messages) for each in seen.longest] == [
        ("7-0000-4…", 2),
        ("6-0000-4…", 1),
        ("5-0000-4…", 2),
        ("4-0000-4…", 1),
        ("3-0000-4…", 2),
    ]


async def test_a_session_whose_messages_are_answered_is_forgotten(redis: Redis) -> None:
    for token in TOKENS[:3]:
        await put(redis, token, 5.0)
        await note_waiting(redis, [token])
    await put(redis, TOKENS[0])
    await redis.delete(session_key(TOKENS[1]))
    assert (await inboxes(redis)).sessions == 1
    assert await redis.zrange(WAITING, 0, -1) == [TOKENS[2].encode()]


async def test_a_later_first_message_is_noted_so_that_the_longest_waiting_are_read_first(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST", 2)
    for age, token in zip((50.0, 40.0, 30.0), TOKENS, strict=False):
        await put(redis, token, age)
        await redis.zadd(WAITING, {token: ((await redis.time())[0] - age) * 1000})
    await put(redis, TOKENS[0], 1.0)
    first = await inboxes(redis)
    assert (first.sessions, first.is_complete) == (2, False)
    assert first.oldest_age == pytest.approx(40, abs=2)
    assert (await inboxes(redis)).p50_age == pytest.approx(30, abs=2)
