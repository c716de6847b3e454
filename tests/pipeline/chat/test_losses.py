"""A session whose Redis has lost its last changes, and the repair of it."""

from __future__ import annotations

import orjson
import pytest
from redis.asyncio import Redis

from pipeline.chat.records import Frame, Inbound, answer_id, error_frame
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import (
    Closed,
    Ended,
    Gone,
    Missing,
    Opened,
    Place,
    Queued,
    Refused,
    Stale,
)
from pipeline.chat.sessions import Sessions
from pipeline.redis.keys import partial_key
from pipeline.settings import Settings
from tests.pipeline.chat.losses import Lost, answered, inbound, kept, lose, messages
from tests.pipeline.chat.talk import answer, failure, stored


def following(token: str, text: str, follows: str) -> Inbound:
    """Return a message that follows another one."""
    message: Inbound = inbound(token, text).derive(follows=follows, node="a-node")
    return message


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


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_lost_answer_goes_before_messages_that_came_since(lost: Lost, is_open: bool) -> None:
    end = await lost.happen(is_answered=True)
    assert end is not None
    third = inbound(lost.token, "third")
    await lost.sessions.accept(third, "ingest:0:3")
    if not is_open:
        await lost.sessions.close(answer(lost.token, third.id, "three"))
    for expected in (Closed, Ended):
        assert isinstance(await lost.sessions.restore(lost.second, end), expected)
        await lost.check()
    if is_open:
        await lost.sessions.close(answer(lost.token, third.id, "three"))
    assert await lost.history() == [
        "Human: first",
        "Bot: one",
        "Human: second",
        "Bot: two",
        "Human: third",
        "Bot: three",
    ]
    view = await lost.sessions.snapshot(lost.token, "m-second")
    assert view is not None
    assert [each["msg"] for each in view.finished or ()] == ["two", "three"]


async def test_a_lost_error_goes_before_messages_that_came_since(lost: Lost) -> None:
    await lost.happen(is_answered=False)
    await answered(lost.sessions, inbound(lost.token, "third"), "three")
    error = error_frame(lost.second.id, "model_timeout")
    assert await lost.sessions.restore(lost.second, error) == Closed(error, None)
    assert (await lost.history())[2:] == ["Human: second", "Human: third", "Bot: three"]
    assert await lost.sessions.accept(lost.second) == Ended(error, duplicate=True)
    await lost.check()


async def test_a_lost_message_ends_with_one_error_once_a_later_one_has_begun(lost: Lost) -> None:
    await lost.happen(is_answered=False)
    third = inbound(lost.token, "third")
    await lost.sessions.accept(third, "ingest:0:3")
    placed = await lost.sessions.accept_in_place(lost.second, "ingest:0:4")
    assert isinstance(placed, Closed)
    assert (placed.frame["turn"], placed.frame["error"], placed.frame["retryable"]) == (
        "m-second",
        "internal_error",
        True,
    )
    await lost.check()
    again = await lost.sessions.accept_in_place(lost.second, "ingest:0:5")
    assert again == Ended(placed.frame, duplicate=True)
    await lost.sessions.close(answer(lost.token, third.id, "three"))
    assert (await lost.history())[2:] == ["Human: second", "Human: third", "Bot: three"]
    view = await lost.sessions.snapshot(lost.token, "m-second")
    assert view is not None
    assert placed.frame in (view.finished or ())


async def test_a_lost_message_waits_before_later_ones_that_wait(lost: Lost) -> None:
    await lost.sessions.accept(inbound(lost.token, "first"), "ingest:0:1")
    await lost.sessions.accept(inbound(lost.token, "third"), "ingest:0:3")
    assert await lost.sessions.accept_in_place(lost.second, "ingest:0:4") == Queued(1)
    after_second = inbound(lost.token, "between").derive(follows="m-second", restored=True)
    assert await lost.sessions.accept_in_place(after_second, "ingest:0:5") == Queued(2)
    for turn in ("m-first", "m-second", "m-between", "m-third"):
        assert isinstance(await lost.sessions.close(answer(lost.token, turn, "yes")), Closed)
    await lost.check()
    assert [each for each in await lost.history() if each.startswith("Human")] == [
        "Human: first",
        "Human: second",
        "Human: between",
        "Human: third",
    ]


async def test_a_lost_message_whose_place_is_the_end_is_answered(lost: Lost) -> None:
    await lost.happen(is_answered=False)
    assert await lost.sessions.accept_in_place(lost.second, "ingest:0:4") == Opened("m-second")


async def test_the_first_message_of_a_session_goes_to_its_start(lost: Lost) -> None:
    await answered(lost.sessions, inbound(lost.token, "third"), "three")
    first = inbound(lost.token, "first").derive(restored=True)
    assert isinstance(await lost.sessions.accept_in_place(first, "ingest:0:4"), Closed)
    assert await lost.history() == ["Human: first", "Human: third", "Bot: three"]
    await lost.check()


async def test_a_lost_request_to_regenerate_does_not_regenerate_a_later_answer(lost: Lost) -> None:
    await lost.happen(is_answered=False)
    await answered(lost.sessions, inbound(lost.token, "third"), "three")
    before = await lost.history()
    request = Inbound(
        token=lost.token, id="r", text="", sent_at=0.0, regenerate=True, follows="m-first", restored=True
    )
    placed = await lost.sessions.accept_in_place(request, "ingest:0:4")
    assert isinstance(placed, Closed)
    assert placed.frame["turn"] == "r"
    assert await lost.history() == before
    await lost.check()


async def test_a_message_is_put_back_only_behind_one_that_the_session_holds(lost: Lost) -> None:
    unknown = lost.second.derive(follows="m-unknown")
    assert isinstance(await lost.sessions.accept_in_place(unknown, "ingest:0:4"), Missing)
    gone = lost.second.derive(token="gone")
    assert isinstance(await lost.sessions.accept_in_place(gone, "ingest:0:4"), Gone)


async def test_the_unfinished_messages_of_a_session_are_found(lost: Lost) -> None:
    assert await lost.sessions.unfinished("gone") is None
    assert await lost.sessions.unfinished(lost.token) == ("", [])
    first = await answered(lost.sessions, inbound(lost.token, "first"), "one")
    assert await lost.sessions.unfinished(lost.token) == (first["id"], [])
    await lost.sessions.accept(inbound(lost.token, "second"))
    await lost.sessions.accept(inbound(lost.token, "third").derive(edits="*"))
    assert await lost.sessions.unfinished(lost.token) == (
        first["id"],
        [inbound(lost.token, "second"), inbound(lost.token, "third").derive(edits="*")],
    )
