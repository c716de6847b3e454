"""A session whose Redis has lost its last changes, and the repair of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from pipeline.chat.records import Frame, Inbound, answer_id
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import (
    Closed,
    Ended,
    Missing,
    Opened,
    Place,
    Queued,
    Refused,
    Stale,
)
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import partial_key, session_key
from pipeline.settings import Settings
from tests.pipeline.chat import talk
from tests.pipeline.chat.talk import answer, failure, stored


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


def following(token: str, text: str, follows: str) -> Inbound:
    """Return a message that follows another one."""
    message: Inbound = inbound(token, text).derive(follows=follows, node="a-node")
    return message


async def messages(sessions: Sessions, token: str) -> list[Any]:
    document = await sessions.get(token)
    assert document is not None
    return list(document["messages"])


async def test_a_message_is_accepted_only_after_the_one_that_it_follows(
    sessions: Sessions, token: str
) -> None:
    second = following(token, "second", "m-first")
    assert isinstance(await sessions.accept(second, "ingest:0:2"), Missing)
    assert await messages(sessions, token) == []
    assert isinstance(await sessions.accept(inbound(token, "first"), "ingest:0:3"), Opened)
    assert isinstance(await sessions.accept(second, "ingest:0:4"), Queued)


async def test_a_message_may_follow_one_that_was_refused(sessions: Sessions, token: str) -> None:
    await sessions.close(failure(token, "m-first", "internal_error"))
    assert isinstance(await sessions.accept(following(token, "second", "m-first")), Opened)


async def test_a_full_session_refuses_a_message_whatever_it_follows(redis: Redis, redis_url: str) -> None:
    sessions = Sessions(redis, Settings(redis_url=redis_url, session_max_messages=2))
    token = (await sessions.create("Ada"))["token"]
    await answered(sessions, inbound(token, "first"), "one")
    refused = await sessions.accept(following(token, "third", "m-second"))
    assert isinstance(refused, Refused)


async def test_the_place_of_each_message_is_found(
    repairable: RepairableSessions, token: str, redis: Redis
) -> None:
    await answered(repairable, inbound(token, "over"), "one")
    await repairable.accept(inbound(token, "open"))
    await repairable.accept(inbound(token, "waiting"))
    names = ["m-over", "m-open", "m-waiting", "m-lost"]
    found = await repairable.find(token, names)
    assert found is not None
    assert [found.places[name] for name in names] == [Place.OVER, Place.OPEN, Place.WAITING, Place.UNKNOWN]
    assert (found.open_turn, found.run) == ("m-open", 0)
    await redis.set(partial_key(token), b"17 m-open\nso far")
    found = await repairable.find(token, names)
    assert found is not None
    assert found.run == 17


async def test_messages_of_an_expired_session_are_not_found(repairable: RepairableSessions) -> None:
    assert await repairable.find("gone", ["m"]) is None


async def test_a_lost_answer_is_restored_as_its_client_saw_it(
    repairable: RepairableSessions, token: str, redis: Redis
) -> None:
    earlier = await kept(redis, token)
    message = inbound(token, "hi")
    frame = await answered(repairable, message, "hello")
    before = await messages(repairable, token)
    await lose(redis, token, earlier)
    assert isinstance(await repairable.restore(message, frame), Closed)
    after = await messages(repairable, token)
    assert [(each["id"], each["msg"]) for each in after] == [(each["id"], each["msg"]) for each in before]
    assert after[1] == before[1]
    assert isinstance(await repairable.restore(message, frame), Ended)
    assert await messages(repairable, token) == after
    assert (await stored(redis, token))["_bytes"] == sum(len(orjson.dumps(each)) for each in after)


async def test_a_turn_that_lost_its_end_gets_it_back_and_the_next_one_opens(
    repairable: RepairableSessions, token: str, redis: Redis
) -> None:
    message = inbound(token, "hi")
    await repairable.accept(message, "ingest:0:1")
    await repairable.accept(inbound(token, "next"), "ingest:0:2")
    earlier = await kept(redis, token)
    closed = await repairable.close(answer(token, message.id, "hello"), "deliver:0:1")
    assert isinstance(closed, Closed)
    await lose(redis, token, earlier)
    again = await repairable.restore(message, closed.frame)
    assert isinstance(again, Closed)
    assert again.next_turn == "m-next"
    assert (await messages(repairable, token))[1]["timestamp"] == closed.frame["timestamp"]


async def test_an_answer_is_not_restored_while_another_turn_is_open(
    repairable: RepairableSessions, token: str, redis: Redis
) -> None:
    earlier = await kept(redis, token)
    message = inbound(token, "hi")
    frame = await answered(repairable, message, "hello")
    await lose(redis, token, earlier)
    await repairable.accept(inbound(token, "another"))
    assert isinstance(await repairable.restore(message, frame), Stale)
    assert [each["msg"] for each in await messages(repairable, token)] == ["Human: another"]


async def test_an_answer_that_came_twice_keeps_its_first_text(
    repairable: RepairableSessions, token: str, redis: Redis
) -> None:
    earlier = await kept(redis, token)
    message = inbound(token, "hi")
    frame = await answered(repairable, message, "first")
    await lose(redis, token, earlier)
    await answered(repairable, message, "a longer second one")
    for _ in range(2):
        await repairable.restore_text(token, frame)
        _, bot = await messages(repairable, token)
        assert (bot["id"], bot["msg"], bot["timestamp"]) == (
            answer_id(message.id),
            "Bot: first",
            frame["timestamp"],
        )
        kept_bytes = (await stored(redis, token))["_bytes"]
        assert kept_bytes == sum(len(orjson.dumps(each)) for each in await messages(repairable, token))


@pytest.mark.parametrize("token_of", ["gone", ""])
async def test_nothing_is_restored_where_there_is_no_answer(
    repairable: RepairableSessions, token: str, token_of: str
) -> None:
    frame: Frame = {"type": "message", "id": "f", "turn": "m", "msg": "x", "timestamp": "2026"}
    await repairable.restore_text(token_of or token, frame)
    assert await messages(repairable, token) == []
