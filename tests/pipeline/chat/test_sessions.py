"""Sessions against a real Redis: each operation, and each operation twice."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from pipeline.chat.records import SESSION_BUSY, Frame, Inbound, TurnOutcome, answer_id
from pipeline.chat.results import (
    Closed,
    Context,
    Ended,
    Gone,
    Opened,
    Queued,
    Refused,
    Stale,
    TurnRunning,
)
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from pipeline.settings import Settings
from tests.pipeline.chat.talk import answer, failure, inbound, stored


async def history(sessions: Sessions, token: str) -> list[str]:
    document = await sessions.get(token)
    assert document is not None
    return [message["msg"] for message in document["messages"]]


async def closed(sessions: Sessions, outcome: TurnOutcome, entry: str = "") -> Closed:
    result = await sessions.close(outcome, entry)
    assert isinstance(result, Closed)
    return result


async def test_a_new_session_is_what_the_client_is_told(sessions: Sessions) -> None:
    created = await sessions.create('Ada "the first" Löve\u0000')
    assert list(created) == ["token", "messages", "name", "session_start"]
    assert uuid.UUID(created["token"]).version == 4
    assert await sessions.get(created["token"]) == created
    assert await sessions.exists(created["token"])


async def test_a_session_lives_for_its_time_and_no_longer(redis: Redis, redis_url: str) -> None:
    sessions = Sessions(redis, Settings(redis_url=redis_url, session_ttl=100))
    token = (await sessions.create("Ada"))["token"]
    await redis.expire(session_key(token), 50)
    await sessions.accept(inbound(token, "hi"))
    assert 0 < await redis.ttl(session_key(token)) <= 50


async def test_a_sliding_session_is_renewed_by_each_message(redis: Redis, redis_url: str) -> None:
    sessions = Sessions(redis, Settings(redis_url=redis_url, session_ttl=100, session_ttl_sliding=True))
    token = (await sessions.create("Ada"))["token"]
    for text in ("opens a turn", "waits"):
        await redis.expire(session_key(token), 50)
        await sessions.accept(inbound(token, text))
        assert await redis.ttl(session_key(token)) > 50


async def test_timestamps_are_the_time_of_the_server_in_utc(sessions: Sessions, token: str) -> None:
    document = await sessions.get(token)
    assert document is not None
    assert document["session_start"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(document["session_start"])
    assert abs(age) < timedelta(seconds=30)


async def test_what_is_internal_is_never_shown(sessions: Sessions, token: str) -> None:
    await sessions.accept(inbound(token, "hi"))
    document = await sessions.get(token)
    assert document is not None
    assert set(document) == {"token", "messages", "name", "session_start"}
    assert set(document["messages"][0]) == {"id", "msg", "timestamp"}


async def test_the_first_message_opens_a_turn(sessions: Sessions, token: str) -> None:
    message = inbound(token, 'Grüße, "you"\n\u0000 🎈')
    assert await sessions.accept(message) == Opened(message.id)
    assert await history(sessions, token) == ['Human: Grüße, "you"\n\u0000 🎈']


async def test_a_lone_surrogate_is_replaced_rather_than_refused(sessions: Sessions, token: str) -> None:
    await sessions.accept(inbound(token, "half \ud83d a balloon"))
    assert await history(sessions, token) == ["Human: half � a balloon"]


async def test_an_entry_that_opened_a_turn_opens_it_again_but_adds_nothing(
    sessions: Sessions, redis: Redis, token: str
) -> None:
    message = inbound(token, "hi")
    assert await sessions.accept(message, "ingest:0:1") == Opened(message.id)
    before = await stored(redis, token)
    assert await sessions.accept(message, "ingest:0:1") == Opened(message.id)
    assert await stored(redis, token) == before


async def test_another_entry_with_the_same_message_sends_nothing(sessions: Sessions, token: str) -> None:
    message = inbound(token, "hi")
    await sessions.accept(message, "ingest:0:1")
    assert await sessions.accept(message, "ingest:0:2") == TurnRunning()
    frame = (await closed(sessions, answer(token, message.id, "hello"))).frame
    assert await sessions.accept(message, "ingest:0:1") == Ended(frame, duplicate=False)
    assert await sessions.accept(message, "ingest:0:2") == Ended(frame, duplicate=True)
    assert await history(sessions, token) == ["Human: hi", "Bot: hello"]


async def test_messages_that_wait_are_answered_in_the_order_sent(sessions: Sessions, token: str) -> None:
    first, second, third = (inbound(token, text) for text in ("one", "two", "three"))
    assert await sessions.accept(first) == Opened(first.id)
    assert await sessions.accept(second, "ingest:0:2") == Queued(1)
    assert await sessions.accept(third, "ingest:0:3") == Queued(2)
    assert await sessions.accept(third, "ingest:0:3") == Queued(2)
    assert await sessions.accept(third, "ingest:0:4") == Queued(2, duplicate=True)
    assert (await closed(sessions, answer(token, first.id, "1"))).next_turn == second.id
    assert (await closed(sessions, answer(token, second.id, "2"))).next_turn == third.id
    assert (await closed(sessions, answer(token, third.id, "3"))).next_turn is None
    assert await history(sessions, token) == [
        "Human: one",
        "Bot: 1",
        "Human: two",
        "Bot: 2",
        "Human: three",
        "Bot: 3",
    ]


async def test_a_message_that_waits_is_not_in_the_history_yet(sessions: Sessions, token: str) -> None:
    await sessions.accept(inbound(token, "one"))
    await sessions.accept(inbound(token, "two"))
    assert await history(sessions, token) == ["Human: one"]


async def test_a_full_inbox_refuses_for_good(sessions: Sessions, redis: Redis, token: str) -> None:
    opened = inbound(token, "one")
    await sessions.accept(opened)
    for place, text in enumerate(("two", "three"), 1):
        assert await sessions.accept(inbound(token, text)) == Queued(place)
    late = inbound(token, "four")
    refused = await sessions.accept(late)
    assert isinstance(refused, Refused)
    assert refused.frame["error"] == SESSION_BUSY
    assert refused.frame["refused"] == late.id
    assert refused.frame["retryable"]
    assert await sessions.unsent(token) == [refused.frame]
    before = await stored(redis, token)

    await sessions.accept(late)
    assert await stored(redis, token) == before
    await sessions.close(answer(token, opened.id, "1"))
    again = await sessions.accept(late)
    assert isinstance(again, Refused)
    assert again.frame == refused.frame
    assert again.frame["id"] == answer_id(late.id)


async def test_the_context_holds_the_last_messages_and_the_answer_before(
    sessions: Sessions, token: str
) -> None:
    first, second = inbound(token, "one"), inbound(token, "two")
    await sessions.accept(first)
    await sessions.accept(second)
    assert await sessions.context(token, first.id, 4) == Context(["Human: one"])
    assert await sessions.context(token, second.id, 4) == Stale()
    await sessions.close(answer(token, first.id, "1"))
    assert await sessions.context(token, first.id, 4) == Stale()
    assert await sessions.context(token, second.id, 4) == Context(["Human: one", "Bot: 1", "Human: two"])
    assert await sessions.context(token, second.id, 2) == Context(["Bot: 1", "Human: two"])


async def test_the_entry_that_closed_a_turn_gets_the_same_reply_again(
    sessions: Sessions, redis: Redis, token: str
) -> None:
    first, second = inbound(token, "one"), inbound(token, "two")
    await sessions.accept(first)
    await sessions.accept(second)
    once = await closed(sessions, answer(token, first.id, "1"), "deliver:0:1")
    before = await stored(redis, token)
    assert await sessions.close(answer(token, first.id, "another"), "deliver:0:1") == once
    assert await stored(redis, token) == before
    assert once.next_turn == second.id
    assert once.frame["msg"] == "1"
    assert (await stored(redis, token))["messages"][1]["id"] == once.frame["id"] == answer_id(first.id)


async def test_a_turn_answered_twice_keeps_the_first_answer(sessions: Sessions, token: str) -> None:
    first, second = inbound(token, "one"), inbound(token, "two")
    await sessions.accept(first)
    await sessions.accept(second)
    await sessions.close(answer(token, first.id, "1"), "deliver:0:1")
    assert await sessions.close(answer(token, first.id, "other"), "deliver:0:2") == Stale()
    assert await history(sessions, token) == ["Human: one", "Bot: 1", "Human: two"]


async def test_a_late_repeat_does_not_open_a_later_turn_again(sessions: Sessions, token: str) -> None:
    messages = [inbound(token, text) for text in ("one", "two", "three")]
    for message in messages:
        await sessions.accept(message)
    await sessions.close(answer(token, messages[0].id, "1"), "deliver:0:1")
    await sessions.close(answer(token, messages[1].id, "2"), "deliver:0:2")
    assert await sessions.close(answer(token, messages[0].id, "1"), "deliver:0:1") == Stale()


async def test_an_error_ends_the_turn_and_leaves_no_message_of_the_bot(
    sessions: Sessions, token: str
) -> None:
    first, second = inbound(token, "one"), inbound(token, "two")
    await sessions.accept(first)
    await sessions.accept(second)
    result = await closed(sessions, failure(token, first.id, detail="No answer within 60 s"))
    assert result.next_turn == second.id
    assert result.frame["error"] == "model_timeout"
    assert result.frame["msg"] == "No answer within 60 s"
    assert await history(sessions, token) == ["Human: one", "Human: two"]


async def test_an_error_without_words_gets_some(sessions: Sessions, token: str) -> None:
    message = inbound(token, "one")
    await sessions.accept(message)
    assert (await closed(sessions, failure(token, message.id, "internal_error"))).frame["msg"]


async def test_a_message_given_up_before_the_session_knew_it_is_refused(
    sessions: Sessions, redis: Redis, token: str
) -> None:
    message = inbound(token, "one")
    result = await closed(sessions, failure(token, message.id, "internal_error"))
    assert result.frame["error"] == "internal_error"
    assert await sessions.unsent(token) == [result.frame]
    before = await stored(redis, token)
    again = await closed(sessions, failure(token, message.id, "internal_error"))
    assert again.frame["id"] == result.frame["id"]
    assert await stored(redis, token) == before
    assert isinstance(await sessions.accept(message), Refused)


async def test_a_message_that_waits_is_not_ended_by_an_error(sessions: Sessions, token: str) -> None:
    await sessions.accept(inbound(token, "one"))
    waiting = inbound(token, "two")
    await sessions.accept(waiting)
    assert await sessions.close(failure(token, waiting.id, "internal_error")) == Stale()


async def test_an_expired_session_is_gone_for_every_operation(sessions: Sessions) -> None:
    token = str(uuid.uuid4())
    message = inbound(token, "hi")
    assert await sessions.get(token) is None
    assert not await sessions.exists(token)
    assert await sessions.accept(message) == Gone()
    assert await sessions.close(answer(token, message.id, "1")) == Gone()
    assert await sessions.unsent(token) == []
    await sessions.mark_sent(token, [answer_id(message.id)])
    assert await sessions.context(token, message.id, 4) == Gone()
    assert not await sessions.exists(token)


async def test_frames_wait_until_a_socket_took_them(sessions: Sessions, token: str) -> None:
    frames: list[Frame] = []
    for number in range(3):
        message = inbound(token, "hi")
        await sessions.accept(message)
        frames.append((await closed(sessions, answer(token, message.id, str(number)))).frame)
    assert await sessions.unsent(token) == frames
    for _ in range(2):
        await sessions.mark_sent_many({token: [frames[0]["id"], frames[2]["id"]]})
        assert await sessions.unsent(token) == [frames[1]]


async def test_only_the_newest_thousand_frames_wait(sessions: Sessions, redis: Redis, token: str) -> None:
    old = json.dumps({"id": "old", "msg": "", "timestamp": ""})
    await execute(redis, "JSON.ARRAPPEND", session_key(token), "$._unsent", *[old] * 1000)
    message = inbound(token, "hi")
    await sessions.accept(message)
    result = await closed(sessions, answer(token, message.id, "1"))
    unsent = await sessions.unsent(token)
    assert len(unsent) == 1000
    assert unsent[-1] == result.frame


@pytest.mark.parametrize("message_id", ["", 'a"]', "a b", "x" * 129, "ä", "a\n"])
async def test_an_id_that_would_break_a_path_is_refused(
    sessions: Sessions, token: str, message_id: str
) -> None:
    wrong = Inbound(token=token, id=message_id, text="hi", sent_at=0.0)
    with pytest.raises(ValueError, match="not a message id"):
        await sessions.accept(wrong)
    with pytest.raises(ValueError, match="not a message id"):
        await sessions.close(answer(token, message_id, "1"))
    with pytest.raises(ValueError, match="not a message id"):
        await sessions.mark_sent(token, [message_id])


async def test_an_outcome_needs_an_answer_or_an_error(sessions: Sessions, token: str) -> None:
    with pytest.raises(ValueError, match="an answer or an error"):
        await sessions.close(TurnOutcome(token=token, turn="a"))


async def test_scripts_are_sent_again_after_redis_forgot_them(sessions: Sessions, redis: Redis) -> None:
    await execute(redis, "SCRIPT", "FLUSH")
    token = (await sessions.create("Ada"))["token"]
    await execute(redis, "SCRIPT", "FLUSH")
    message = inbound(token, "hi")
    assert await sessions.accept(message) == Opened(message.id)


async def test_no_operation_of_a_turn_reads_a_long_history(
    sessions: Sessions, redis: Redis, token: str
) -> None:
    """What Redis sends out for a turn stays small however long the session is."""
    old = json.dumps({"id": "old", "msg": "Human: " + "x" * 1000, "timestamp": ""})
    await execute(redis, "JSON.ARRAPPEND", session_key(token), "$.messages", *[old] * 1900)
    message, waiting = inbound(token, "hi"), inbound(token, "and then")
    before = (await redis.info("stats"))["total_net_output_bytes"]
    await sessions.accept(message)
    await sessions.accept(waiting)
    assert isinstance(await sessions.context(token, message.id, 4), Context)
    await sessions.close(answer(token, message.id, "1"))
    await sessions.unsent(token)
    await sessions.mark_sent(token, [answer_id(message.id)])
    spent = (await redis.info("stats"))["total_net_output_bytes"] - before
    assert spent < 30_000
