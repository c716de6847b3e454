"""A session has bounds, and what is done with it costs the same however long it is."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from pipeline.chat.catch_up import CATCH_UP_CHARACTERS
from pipeline.chat.records import SESSION_FULL, Inbound, TurnOutcome, answer_id
from pipeline.chat.results import Closed, Ended, Opened, Queued, Refused
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import connect, execute
from pipeline.redis.keys import session_key
from pipeline.settings import Settings
from tests.pipeline.chat.talk import answer, failure, inbound, stored


def sessions_with(redis: Redis, **settings: Any) -> Sessions:
    return Sessions(redis, Settings(**settings))


async def talked(
    sessions: Sessions, count: int, text: str = "hi", reply: str = "hello"
) -> tuple[str, list[str]]:
    """Return the token of a new session with some answered messages, and their ids."""
    token = (await sessions.create("Ada"))["token"]
    ids = []
    for number in range(count):
        message = inbound(token, text)
        assert await sessions.accept(message, f"ingest:0:{number}") == Opened(message.id), number
        assert isinstance(await sessions.close(answer(token, message.id, reply)), Closed)
        ids.append(message.id)
    return token, ids


async def test_a_session_with_all_its_messages_refuses_the_next_for_good(redis: Redis) -> None:
    sessions = sessions_with(redis, session_max_messages=6)
    token, _ = await talked(sessions, 3)
    late = inbound(token, "one more")
    refused = await sessions.accept(late)

    assert isinstance(refused, Refused)
    assert (refused.frame["error"], refused.frame["retryable"]) == (SESSION_FULL, False)
    assert "new chat" in refused.frame["msg"]
    assert await sessions.accept(late) == refused
    document = await sessions.get(token)
    assert document is not None
    assert len(document["messages"]) == 6


async def test_messages_that_wait_count_with_the_answers_that_they_will_get(redis: Redis) -> None:
    sessions = sessions_with(redis, session_max_messages=6)
    token = (await sessions.create("Ada"))["token"]
    messages = [inbound(token, str(number)) for number in range(4)]
    results = [await sessions.accept(message) for message in messages]

    assert results[:3] == [Opened(messages[0].id), Queued(1), Queued(2)]
    assert isinstance(results[3], Refused)
    for message in messages[:3]:
        await sessions.close(answer(token, message.id, "fine"))
    document = await sessions.get(token)
    assert document is not None
    assert len(document["messages"]) == 6


async def test_a_session_with_all_its_bytes_refuses_the_next_message(redis: Redis) -> None:
    sessions = sessions_with(redis, session_max_bytes=20_000)
    token = (await sessions.create("Ada"))["token"]
    taken = 0
    for _ in range(30):
        message = inbound(token, "ä" * 1000)
        result = await sessions.accept(message)
        if isinstance(result, Refused):
            assert result.frame["error"] == SESSION_FULL
            break
        taken += 1
        await sessions.close(answer(token, message.id, "x" * 100))

    assert taken == 8
    kept = await stored(redis, token)
    # As Python writes JSON it has a space after each comma and colon.
    size = len(json.dumps(kept["messages"], ensure_ascii=False, separators=(",", ":")).encode())
    assert abs(kept["_bytes"] - size) < 2 * len(kept["messages"])
    assert kept["_bytes"] <= 20_000


async def test_the_shortest_messages_fill_a_session_to_its_limit_and_not_beyond(redis: Redis) -> None:
    sessions = sessions_with(redis, session_max_messages=40)
    token = (await sessions.create("Ada"))["token"]
    results = []
    for message_id in "abcdefghijklmnopqrstuvwxyz":
        results.append(type(await sessions.accept(inbound(token, "", message_id))))
        await sessions.close(answer(token, message_id, ""))

    assert results == [Opened] * 20 + [Refused] * 6


async def test_requests_to_answer_anew_fill_a_session_too(redis: Redis) -> None:
    sessions = sessions_with(redis, session_max_messages=2)
    token, _ = await talked(sessions, 1)
    results = []
    for number in range(6):
        again = Inbound(token=token, id=f"again-{number}", text="", sent_at=0.0, regenerate=True)
        results.append(type(await sessions.accept(again)))
        await sessions.close(answer(token, again.id, "other"))

    assert results == [Opened, Opened, Opened, Refused, Refused, Refused]
    assert len((await stored(redis, token))["_ids"]) == 4


async def test_one_message_has_so_many_answers_and_no_more(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token, _ = await talked(sessions, 1)
    for number in range(33):
        again = Inbound(token=token, id=f"again-{number}", text="", sent_at=0.0, regenerate=True)
        result = await sessions.accept(again)
        await sessions.close(answer(token, again.id, "other"))

    assert isinstance(result, Refused)
    assert "the maximum number of answers" in result.frame["msg"]
    assert isinstance(await sessions.accept(inbound(token, "on")), Opened)


async def test_a_flood_of_refused_messages_leaves_a_session_of_bounded_size(redis: Redis) -> None:
    sessions = sessions_with(redis, inbox_limit=2, session_max_messages=100)
    token = (await sessions.create("Ada"))["token"]
    for number in range(1500):
        await sessions.accept(inbound(token, "x" * 500, f"flood-{number}"))
    kept = await stored(redis, token)

    assert len(kept["_ids"]) == 200
    assert (len(kept["_errors"]), len(kept["_unsent"])) == (100, 1000)


async def test_an_error_has_a_text_of_bounded_length(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token = (await sessions.create("Ada"))["token"]
    message = inbound(token, "hi")
    await sessions.accept(message)
    closed = await sessions.close(failure(token, message.id, detail="x" * 100_000))

    assert isinstance(closed, Closed)
    assert len(closed.frame["msg"]) == 1000


async def test_a_repeat_finds_its_end_at_once_however_long_the_history_is(redis: Redis) -> None:
    sessions = sessions_with(redis)
    short, (first, *_) = await talked(sessions, 2)
    long, ids = await talked(sessions, 2)
    filler = [
        json.dumps({"id": str(uuid.uuid4()), "msg": "Human: x", "timestamp": ""}) for _ in range(20_000)
    ]
    await execute(redis, "JSON.ARRAPPEND", session_key(long), "$.messages", *filler)

    async def seconds(token: str, message_id: str) -> float:
        best = 1.0
        for _ in range(50):
            began = time.perf_counter()
            ended = await sessions.accept(inbound(token, "hi", message_id), "ingest:0:99")
            best = min(best, time.perf_counter() - began)
            assert isinstance(ended, Ended)
            assert ended.frame is not None
            assert ended.frame["id"] == answer_id(message_id)
        return best

    # A search of that history takes 3 ms and more.
    assert await seconds(long, ids[0]) < await seconds(short, first) + 0.001


async def test_a_repeat_of_a_request_finds_the_answer_that_was_replaced_since(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token, (first,) = await talked(sessions, 1, reply="one")
    for number, text in enumerate(("two", "three")):
        again = Inbound(token=token, id=f"again-{number}", text="", sent_at=0.0, regenerate=True)
        await sessions.accept(again)
        await sessions.close(answer(token, again.id, text))

    for message_id, text in ((first, "one"), ("again-0", "two"), ("again-1", "three")):
        ended = await sessions.accept(inbound(token, "hi", message_id), "late")
        assert isinstance(ended, Ended)
        assert ended.frame is not None
        assert ended.frame["msg"] == text


async def test_a_session_of_the_version_before_is_taken_over_with_its_first_message(redis: Redis) -> None:
    sessions = sessions_with(redis, session_max_messages=6)
    token, ids = await talked(sessions, 2)
    before = await stored(redis, token)
    for field in ("$._places", "$._bytes"):
        await execute(redis, "JSON.DEL", session_key(token), field)
    assert (await sessions.snapshot(token, ids[0])) is not None
    message = inbound(token, "three")
    assert await sessions.accept(message) == Opened(message.id)
    await sessions.close(answer(token, message.id, "fine"))
    after = await stored(redis, token)

    assert {key: after["_places"][key] for key in before["_places"]} == before["_places"]
    assert after["_bytes"] > before["_bytes"]
    assert isinstance(await sessions.accept(inbound(token, "four")), Refused)


async def test_an_unknown_message_brings_the_latest_answers_and_reads_no_more(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token, ids = await talked(sessions, 2)
    filler = [json.dumps({"id": f"old-{n}", "msg": "Bot: x", "timestamp": "1"}) for n in range(1000)]
    await execute(redis, "JSON.ARRINSERT", session_key(token), "$.messages", 0, *filler)
    before = (await redis.info("stats"))["total_net_output_bytes"]
    view = await sessions.snapshot(token, "nope")
    spent = (await redis.info("stats"))["total_net_output_bytes"] - before

    assert view is not None
    assert not view.resumed
    assert view.finished is not None
    assert [frame["id"] for frame in view.finished[-2:]] == [answer_id(each) for each in ids]
    assert len(view.finished) <= 64
    assert spent < 30_000


@pytest.mark.parametrize("after", ['"]', "", "a b", "x" * 200, "$..*"])
async def test_what_can_be_no_message_is_unknown(redis: Redis, after: str) -> None:
    sessions = sessions_with(redis)
    token, _ = await talked(sessions, 1)
    view = await sessions.snapshot(token, after)

    assert view is not None
    assert not view.resumed


async def test_who_missed_more_than_fits_gets_the_latest_and_is_told(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token, ids = await talked(sessions, 7, reply="x" * (CATCH_UP_CHARACTERS // 4))
    view = await sessions.snapshot(token, ids[0])

    assert view is not None
    assert not view.resumed
    assert view.finished is not None
    assert [frame["id"] for frame in view.finished] == [answer_id(each) for each in ids[-4:]]
    assert [frame["id"] for frame in view.unsent] == [answer_id(each) for each in ids[:4]]
    assert not view.earlier


async def test_the_history_is_read_in_pages(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token, ids = await talked(sessions, 5)
    last = await sessions.page(token, 3)
    assert last is not None
    before = await sessions.page(token, 100, last.document["messages"][0]["id"])
    first = await sessions.page(token, 2, ids[0])

    assert before is not None
    assert first is not None
    whole = await sessions.get(token)
    assert whole is not None
    assert [*before.document["messages"], *last.document["messages"]] == whole["messages"]
    assert (last.earlier, before.earlier, first.earlier) == (7, 0, 0)
    assert first.document == {**whole, "messages": []}
    assert await sessions.page(str(uuid.uuid4()), 3) is None
    for unknown in ("nope", '"]'):
        with pytest.raises(LookupError):
            await sessions.page(token, 3, unknown)


@pytest.mark.parametrize(
    ("command", "users"),
    [
        ("json.set", {"close", "create"}),
        ("json.arrappend", {"accept", "close"}),
        ("json.arrpop", {"close"}),
        ("json.merge", {"accept", "close"}),
        ("expire", {"create"}),
    ],
)
async def test_a_right_withdrawn_for_a_while_leaves_nothing_half_done(
    redis: Redis, redis_url: str, command: str, users: set[str]
) -> None:
    await execute(redis, "ACL", "SETUSER", "ada", "on", ">x", "~*", "&*", "+@all")
    other = connect(redis_url.replace("unix://", "unix://ada:x@"))
    sessions = Sessions(other, Settings(), patience=0.2)
    try:
        token = (await sessions.create("Ada"))["token"]
        first, second = inbound(token, "one"), inbound(token, "two")
        await sessions.accept(first)
        await sessions.accept(second)
        before = await stored(redis, token)
        await execute(redis, "ACL", "SETUSER", "ada", f"-{command}")
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "accept": lambda: sessions.accept(inbound(token, "three")),
            "close": lambda: sessions.close(answer(token, first.id, "1")),
            "create": lambda: sessions.create("Eve"),
        }
        for name in users:
            with pytest.raises(NoPermissionError):
                await changes[name]()
        assert await stored(redis, token) == before
        await execute(redis, "ACL", "SETUSER", "ada", f"+{command}")
        closed = await sessions.close(answer(token, first.id, "1"))
        assert isinstance(closed, Closed)
        assert closed.next_turn == second.id
    finally:
        await other.aclose()
        await execute(redis, "ACL", "DELUSER", "ada")


async def test_an_outcome_without_a_place_in_the_history_is_remembered(redis: Redis) -> None:
    sessions = sessions_with(redis)
    token = (await sessions.create("Ada"))["token"]
    closed = await sessions.close(TurnOutcome(token=token, turn="m", error="internal_error"))
    assert isinstance(closed, Closed)
    again = await sessions.accept(inbound(token, "hi", "m"))
    assert isinstance(again, Refused)
    assert again.frame == closed.frame
