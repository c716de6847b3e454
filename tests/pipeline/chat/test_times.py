"""Times of a session rise, whatever the clock of Redis does: a client resumes after the time of a message."""

from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis

from pipeline.chat.results import Opened
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from tests.pipeline.chat.talk import Talk

#: The time of a message that was sent before the clock was set back.
LATER = "2099-03-01T12:00:00.000007Z"


async def put_last(talk: Talk, redis: Redis, at: str) -> str:
    """Say something, and let its answer be from a time; return the answer's id."""
    answer = await talk.say("before", "one")
    key = session_key(talk.token)
    for path in ("$.messages[-1].timestamp", "$._last.frame.timestamp", "$._summary[0]"):
        await execute(redis, "JSON.SET", key, path, json.dumps(at))
    await talk.sessions.mark_sent(talk.token, [answer["id"]])
    return answer["id"]


@pytest.mark.parametrize(
    ("latest", "following"),
    [
        ("2099-03-01T12:00:00.000007Z", "2099-03-01T12:00:00.000008Z"),
        ("2099-12-31T23:59:59.999999Z", "2100-01-01T00:00:00.000000Z"),
        ("2100-02-28T23:59:59.999999Z", "2100-03-01T00:00:00.000000Z"),
        ("2096-02-28T23:59:59.999999Z", "2096-02-29T00:00:00.000000Z"),
        ("2096-02-29T23:59:59.999999Z", "2096-03-01T00:00:00.000000Z"),
        ("2400-02-29T00:59:59.999999Z", "2400-02-29T01:00:00.000000Z"),
        ("2099-01-31T09:08:59.999999Z", "2099-01-31T09:09:00.000000Z"),
    ],
)
async def test_a_message_after_the_clock_was_set_back_is_a_microsecond_later_than_the_last(
    talk: Talk, redis: Redis, latest: str, following: str
) -> None:
    await put_last(talk, redis, latest)

    await talk.ask("after")

    assert (await talk.messages())[-1]["timestamp"] == following


async def test_a_client_resumes_with_answers_made_after_the_clock_was_set_back(
    talk: Talk, redis: Redis
) -> None:
    held = await put_last(talk, redis, LATER)
    assert await talk.ask("second") == Opened("m-second")
    await talk.ask("third")
    await talk.end("m-second", "two")

    assert await talk.missed(held) == ["two"]
    await talk.end("m-third", "three")
    assert await talk.missed(held) == ["two", "three"]


async def test_an_error_after_the_clock_was_set_back_reaches_a_client_that_resumes(
    talk: Talk, redis: Redis
) -> None:
    held = await put_last(talk, redis, LATER)
    await talk.ask("second")

    error = await talk.end("m-second", error="model_timeout")

    assert await talk.missed(held) == [error["msg"]]


async def test_a_socket_that_is_brought_up_to_date_gets_what_came_after_the_clock_was_set_back(
    talk: Talk, redis: Redis
) -> None:
    await put_last(talk, redis, LATER)
    before = await talk.sessions.snapshot(talk.token)
    assert before is not None
    frame = await talk.say("second", "two")
    await talk.sessions.mark_sent(talk.token, [frame["id"]])  # another socket has taken it

    view = await talk.sessions.snapshot(talk.token, since=before.time)

    assert view is not None
    assert view.finished == [frame]


async def test_a_socket_of_a_session_without_messages_gets_the_first_answer(talk: Talk) -> None:
    before = await talk.sessions.snapshot(talk.token)
    assert before is not None
    frame = await talk.say("first", "one")
    await talk.sessions.mark_sent(talk.token, [frame["id"]])

    view = await talk.sessions.snapshot(talk.token, since=before.time)

    assert view is not None
    assert view.finished == [frame]
