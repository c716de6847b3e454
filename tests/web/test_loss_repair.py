"""A web process whose Redis has lost messages that it had confirmed."""

from __future__ import annotations

import pytest

from faust_redis.testing import eventually
from pipeline.chat.records import SESSION_EXPIRED, Inbound, TurnOutcome, refusal_frame
from pipeline.chat.results import Closed, Ended, Opened
from pipeline.redis.keys import session_key
from tests.web.conftest import Node
from tests.web.lossy_chat import Chat, accept_all, answer, connected, lost_connection, sent
from web.chat import loss_repair, sent_messages
from web.chat.protocol import ClientMessage
from web.chat.sent_messages import SentMessages


async def test_accepted_messages_that_the_session_lacks_are_sent_again_in_order(node: Node) -> None:
    chat = await connected(node)
    for name in ("one", "two", "three"):
        await chat.say(name)
    await chat.lose()
    lost_connection(node)
    again = await sent(node, "one", "two", "three")
    assert [message.follows for message in again] == ["", "one", "two"]
    await accept_all(node)
    assert [each["id"] for each in await chat.history()] == ["one"]


async def test_a_message_sent_after_the_loss_comes_after_the_lost_ones(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    await chat.lose()
    await chat.socket.say("text of two", "two")
    (two,) = await sent(node, "two")
    assert two.follows == "one"
    await accept_all(node)
    await sent(node, "one", "two")
    await accept_all(node)
    await answer(node, chat.token, "one", "1")
    assert [each["msg"] for each in await chat.history()] == [
        "Human: text of one",
        "Bot: 1",
        "Human: text of two",
    ]


async def test_a_message_that_was_sent_again_is_on_its_way_until_redis_may_have_lost_it_too(
    node: Node,
) -> None:
    chat = await connected(node)
    await chat.say("one")
    await chat.lose()
    await chat.socket.say("text of two", "two")
    await sent(node, "two")
    for _ in range(2):
        node.intake.messages.clear()
        await node.publish(chat.token, {"type": "missing", "id": "two"})
        await sent(node, "one", "two")
    node.intake.messages.clear()

    await node.publish(chat.token, {"type": "missing", "id": "two"})
    await chat.socket.say("text of three", "three")
    await sent(node, "three")
    lost_connection(node)

    await sent(node, "three", "one", "two", "three")


async def test_answers_that_a_client_has_seen_are_in_the_history_again(node: Node) -> None:
    chat = await connected(node)
    for name in ("one", "two"):
        await chat.say(name)
        await answer(node, chat.token, name, f"answer to {name}")
        await chat.socket.until("message")
    await chat.say("three")
    before = await chat.history()
    await chat.lose()
    lost_connection(node)
    await sent(node, "three")
    after = await chat.history()
    assert [(each["id"], each["msg"]) for each in after] == [(each["id"], each["msg"]) for each in before[:4]]
    assert after[1::2] == before[1:4:2]
    assert await chat.socket.silent()


async def test_restored_answers_do_not_go_to_a_later_socket_of_a_client_that_has_them(node: Node) -> None:
    chat = await connected(node)
    for name in ("one", "two"):
        await chat.say(name)
        await answer(node, chat.token, name, f"answer to {name}")
        last = await chat.socket.until("message")
    await chat.socket.close()
    later = await node.client.stream(chat.token, after=last["id"])
    await node.joined(chat.token)
    chat.socket = later
    await chat.say("three")
    await chat.lose()

    lost_connection(node)

    await sent(node, "three")
    assert [each["msg"] for each in await chat.history()][1::2] == [
        "Bot: answer to one",
        "Bot: answer to two",
    ]
    assert await later.silent()
    assert await (await node.client.stream(chat.token)).silent()


async def test_a_socket_that_names_a_lost_answer_waits_until_it_is_restored(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    seen = await answer(node, chat.token, "one", "1")
    await chat.socket.until("message")
    await chat.socket.close()
    await chat.lose()

    later = await node.client.stream(chat.token, after=seen["id"])
    await node.joined(chat.token)

    assert await later.silent()
    assert [each["msg"] for each in await chat.history()] == ["Human: text of one", "Bot: 1"]


async def test_an_entry_that_comes_again_repeats_no_end_on_a_later_socket(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    end = await answer(node, chat.token, "one", "1")
    await chat.socket.until("message")
    await chat.socket.close()
    later = await node.client.stream(chat.token, after=end["id"])
    await node.joined(chat.token)
    await later.say("text of two", "two")

    await node.publish(chat.token, {"type": "accepted", "id": "one", "position": 0, "ending": end})
    await node.publish(chat.token, {"type": "accepted", "id": "two", "position": 0})

    assert (await later.frame())["id"] == "two"


async def test_an_answer_generated_again_is_replaced_by_the_one_that_was_seen(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    await chat.keep()
    seen = await answer(node, chat.token, "one", "seen")
    await chat.socket.until("message")
    await chat.lose()
    await answer(node, chat.token, "one", "generated again")

    async def is_restored() -> bool:
        return bool((await chat.history())[1]["msg"] == "Bot: seen")

    await eventually(is_restored, "the answer that was seen is restored")
    assert (await chat.history())[1]["timestamp"] == seen["timestamp"]
    assert await chat.socket.silent()


async def test_an_answer_generated_again_does_not_go_to_a_later_socket_of_its_client(node: Node) -> None:
    chat = await connected(node)
    for name in ("one", "two"):
        await chat.say(name)
        if name == "one":
            await chat.keep()
        last = await answer(node, chat.token, name, f"answer to {name}")
        await chat.socket.until("message")
    await chat.socket.close()
    later = await node.client.stream(chat.token, after=last["id"])
    await node.joined(chat.token)
    await chat.lose()

    await answer(node, chat.token, "one", "generated again")

    assert await later.silent()


async def test_messages_of_an_old_session_that_is_lost_end_with_one_error_each(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await connected(node)
    for name in ("one", "two"):
        await chat.say(name)
    await node.redis.delete(session_key(chat.token))
    monkeypatch.setattr(SentMessages, "new_sessions", lambda _self: [])
    monkeypatch.setattr(SentMessages, "new_session", lambda _self, _token: None)
    lost_connection(node)
    errors = [await chat.socket.until("error") for _ in range(2)]
    assert [(each["turn"], each["code"]) for each in errors] == [
        ("one", "session_expired"),
        ("two", "session_expired"),
    ]
    lost_connection(node)
    assert await chat.socket.silent()


async def test_a_turn_that_nobody_answers_is_sent_to_the_model_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await connected(node)
    monkeypatch.setattr(loss_repair, "CHECK_AFTER_OUTAGE_SECONDS", 0.2)
    monkeypatch.setattr(loss_repair, "_PAUSE_SECONDS", 0.05)
    await chat.say("one")
    lost_connection(node)
    (again,) = await sent(node, "one")
    assert (again.reopen, again.follows) == (True, "one")


async def test_an_answer_that_did_not_arrive_is_taken_from_the_session(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    await node.sessions.close(TurnOutcome(token=chat.token, turn="one", answer="1"), "deliver:0:1")
    lost_connection(node)
    assert (await chat.socket.until("message"))["msg"] == "1"


async def test_a_web_process_that_starts_later_watches_a_turn_that_is_open(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (sent_messages, "FIRST_CHECK_SECONDS"),
        (loss_repair, "CHECK_AFTER_OUTAGE_SECONDS"),
        (loss_repair, "_PAUSE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.05)
    token = await node.client.token()
    opened = await node.sessions.accept(Inbound(token=token, id="one", text="hi", sent_at=0.0))
    assert isinstance(opened, Opened)
    await node.client.stream(token)
    (again,) = await sent(node, "one")
    assert again.reopen


def test_messages_are_forgotten_once_redis_cannot_lose_them() -> None:
    now = 0.0
    remembered = SentMessages(lambda: now)
    for name in ("one", "two"):
        remembered.add("t", ClientMessage(name, name))
    remembered.end("t", "one")
    now = sent_messages.KEPT_SECONDS + 1
    remembered.prune()
    assert [each.id for each in remembered.of("t")] == ["two"]
    remembered.drop("t", "two")
    assert remembered.tokens() == []


def test_a_repeat_follows_the_same_message_as_before() -> None:
    remembered = SentMessages()
    messages = [ClientMessage(name, name) for name in ("one", "two", "three")]
    first = [remembered.add("t", message).follows for message in messages]
    again = [remembered.add("t", message).follows for message in messages]
    assert first == again == [None, "one", "two"]


def test_no_more_than_the_budget_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_messages, "TEXT_BYTES", 2_000)
    remembered = SentMessages()
    follows = [remembered.add("t", ClientMessage(str(number), "x" * 500)).follows for number in range(4)]
    assert [each.id for each in remembered.of("t")] == ["0", "1"]
    assert follows == [None, "0", "1", "1"]
    remembered.forget("t")
    assert remembered.add("t", ClientMessage("4", "x")).follows is None


async def test_a_new_session_that_redis_has_lost_is_there_again(node: Node) -> None:
    token = await node.client.token("Ada")
    session = await node.client.session(token)
    await node.redis.delete(session_key(token))
    lost_connection(node)

    async def is_back() -> bool:
        return bool(await node.redis.exists(session_key(token)))

    await eventually(is_back, "the session is back")
    assert await node.client.session(token) == session
    assert 0 < await node.redis.ttl(session_key(token)) <= node.settings.session_ttl


async def test_a_session_that_was_ended_does_not_come_back(node: Node) -> None:
    token, other = await node.client.token(), await node.client.token()
    async with node.http.delete("/session", params={"token": token}) as response:
        assert response.status == 204
    await node.redis.delete(session_key(other))
    lost_connection(node)

    async def is_back() -> bool:
        return bool(await node.redis.exists(session_key(other)))

    await eventually(is_back, "the other session is back")
    assert not await node.redis.exists(session_key(token))


async def test_an_agent_that_misses_a_lost_session_ends_no_message(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    await node.redis.delete(session_key(chat.token))
    lost_connection(node)
    await node.publish(chat.token, refusal_frame("one", SESSION_EXPIRED))
    await eventually(lambda: node.intake.texts[:1] == ["text of one"], "the message to be sent again")
    await accept_all(node)
    await answer(node, chat.token, "one", "1")
    assert (await chat.socket.until(lambda frame: frame["type"] in ("message", "error")))["msg"] == "1"


async def test_a_lost_message_that_ended_with_an_error_is_not_answered_again(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    outcome = TurnOutcome(token=chat.token, turn="one", error="model_timeout")
    closed = await node.sessions.close(outcome, "deliver:0:1")
    assert isinstance(closed, Closed)
    await node.publish(chat.token, closed.frame)
    assert (await chat.socket.until("error"))["code"] == "model_timeout"
    await chat.say("two")
    await chat.lose()
    lost_connection(node)
    (again,) = await sent(node, "two")
    assert again.follows == "one"
    await accept_all(node)
    assert [each["id"] for each in await chat.history()] == ["one", "two"]
    assert await node.sessions.accept(Inbound(token=chat.token, id="one", text="", sent_at=0.0)) == Ended(
        closed.frame, duplicate=True
    )


async def test_a_lost_message_sent_again_follows_one_that_the_session_holds(node: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    earlier = Chat(node, chat.token, chat.socket)
    earlier.kept = chat.kept
    await chat.keep()
    await chat.say("two")
    await chat.lose()
    lost_connection(node)
    (again,) = await sent(node, "two")
    assert again.follows == "one"
    await earlier.lose()  # Redis loses the first one as well, before the second one arrives again
    await accept_all(node)
    await sent(node, "one", "two")
    await accept_all(node)
    await answer(node, chat.token, "one", "1")
    assert [each["id"] for each in await chat.history()][::2] == ["one", "two"]
