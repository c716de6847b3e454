"""A web process whose Redis has lost messages that it had confirmed."""

from __future__ import annotations

from typing import Any

import pytest

from faust_redis.testing import eventually
from pipeline.chat.records import SESSION_EXPIRED, Frame, Inbound, TurnOutcome, refusal_frame
from pipeline.chat.results import Closed, Ended, Missing, Opened
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from tests.support.chat_client import StreamSocket
from tests.web.conftest import Node
from web import keys
from web.chat import loss_repair, sent_messages
from web.chat.protocol import ClientMessage
from web.chat.sent_messages import SentMessages


def lost_connection(node: Node) -> None:
    """Act as if a connection to Redis had been lost."""
    node.app[keys.HUB].repair.check_all()


async def accept_all(node: Node) -> None:
    """Handle the messages that the web process has sent, as ingest does."""
    for number, (token, sent) in enumerate(node.intake.messages):
        inbound = Inbound(
            token=token,
            id=sent.id,
            text=sent.text,
            sent_at=0.0,
            follows=sent.follows or None,
            restored=sent.restored,
        )
        accepted = await node.sessions.accept_in_place(inbound, f"ingest:0:{number}")
        notice: Frame = {"type": "accepted", "id": sent.id, "position": 0}
        if isinstance(accepted, Missing):
            notice["type"] = "missing"
        if isinstance(accepted, Closed):
            notice = accepted.frame
        await node.publish(token, notice)
    node.intake.messages.clear()


async def answer(node: Node, token: str, turn: str, text: str) -> Frame:
    """Close a turn and publish its frame, as deliver does."""
    closed = await node.sessions.close(TurnOutcome(token=token, turn=turn, answer=text), "deliver:0:1")
    assert isinstance(closed, Closed), closed
    await node.publish(token, closed.frame)
    return closed.frame


async def sent(node: Node, *ids: str) -> list[ClientMessage]:
    """Wait until the web process has sent these messages, and no other; return them."""
    await eventually(lambda: [each.id for _, each in node.intake.messages] == list(ids), f"{ids} to be sent")
    return [message for _, message in node.intake.messages]


class Chat:
    """A session with a socket, and its state at an earlier moment."""

    def __init__(self, node: Node, token: str, socket: StreamSocket) -> None:
        self.node = node
        self.token = token
        self.socket = socket
        self.kept = b""

    async def say(self, name: str) -> None:
        """Send a message, and wait until it is accepted."""
        await self.socket.say(f"text of {name}", name)
        await sent(self.node, name)
        await accept_all(self.node)
        accepted = await self.socket.until("accepted")
        assert accepted["id"] == name

    async def keep(self) -> None:
        """Keep the session as it is now."""
        self.kept = await execute(self.node.redis, "JSON.GET", session_key(self.token))

    async def lose(self) -> None:
        """Put the session back to what was kept."""
        await execute(self.node.redis, "JSON.SET", session_key(self.token), "$", self.kept)

    async def history(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = (await self.node.client.session(self.token))["messages"]
        return messages


async def connected(node: Node) -> Chat:
    """Return a session of the web process."""
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    chat = Chat(node, token, socket)
    await chat.keep()
    return chat


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


async def moved(chat: Chat, other: Node) -> Chat:
    """Return the chat with a further socket, on another web process."""
    socket = await other.client.stream(chat.token)
    await other.joined(chat.token)
    await eventually(
        lambda: chat.token in other.app[keys.HUB].repair.sent._last, "the state of the session is known"
    )
    return Chat(other, chat.token, socket)


async def test_an_answer_goes_before_messages_that_another_web_process_sent_since(
    node: Node, other: Node
) -> None:
    chat = await connected(node)
    await chat.say("one")
    await answer(node, chat.token, "one", "1")
    await chat.keep()
    await chat.say("two")
    await answer(node, chat.token, "two", "2")
    await chat.socket.until("message")
    await chat.lose()
    later = await moved(chat, other)
    await later.say("three")
    lost_connection(node)

    async def is_restored() -> bool:
        return [each["id"] for each in await chat.history()][::2] == ["one", "two", "three"]

    await eventually(is_restored, "the answer to be back in its place")
    await answer(other, chat.token, "three", "3")
    assert [each["msg"] for each in await chat.history()][1::2] == ["Bot: 1", "Bot: 2", "Bot: 3"]


async def test_a_message_ends_with_one_error_if_another_web_process_sent_a_later_one(
    node: Node, other: Node
) -> None:
    chat = await connected(node)
    await chat.say("one")
    await chat.lose()
    later = await moved(chat, other)
    await later.say("two")
    lost_connection(node)
    await sent(node, "one")
    await accept_all(node)
    error = await chat.socket.until("error")
    assert (error["turn"], error["code"], error["retryable"]) == ("one", "internal_error", True)
    await answer(other, chat.token, "two", "2")
    assert [each["msg"] for each in await chat.history()] == [
        "Human: text of one",
        "Human: text of two",
        "Bot: 2",
    ]
    lost_connection(node)
    assert (await chat.socket.until("message"))["turn"] == "two"
    assert await chat.socket.silent()


async def test_messages_of_a_web_process_that_died_are_sent_again_by_another(node: Node, other: Node) -> None:
    chat = await connected(node)
    for name in ("one", "two"):
        await chat.say(name)
    later = await moved(chat, other)
    await chat.lose()
    lost_connection(other)
    again = await sent(other, "one", "two")
    assert [(each.text, each.follows) for each in again] == [("text of one", ""), ("text of two", "one")]
    await accept_all(other)
    await answer(other, chat.token, "one", "1")
    assert (await later.socket.until("message"))["msg"] == "1"


async def test_a_message_waits_for_one_that_another_web_process_restores(node: Node, other: Node) -> None:
    chat = await connected(node)
    await chat.say("one")
    later = await moved(chat, other)
    other.app[keys.HUB].repair.sent.drop(chat.token, "one")  # as if it had been too large to remember
    other.app[keys.HUB].repair.sent.attached(chat.token, "one", ())
    await chat.lose()
    await later.socket.say("text of two", "two")
    (two,) = await sent(other, "two")
    assert two.follows == "one"
    await accept_all(other)
    lost_connection(node)
    await sent(node, "one")
    await accept_all(node)
    (two,) = await sent(other, "two")
    assert two.follows == "one"
    await accept_all(other)
    await answer(node, chat.token, "one", "1")
    assert [each["id"] for each in await chat.history()][::2] == ["one", "two"]


async def test_a_message_does_not_wait_for_ever_for_one_that_nobody_remembers(node: Node) -> None:
    chat = await connected(node)
    chat.node.app[keys.HUB].repair.sent.attached(chat.token, "unknown", ())
    await chat.socket.say("text of one", "one")
    (one,) = await sent(node, "one")
    assert one.follows == "unknown"
    await accept_all(node)
    (one,) = await sent(node, "one")
    assert one.follows is None
    await accept_all(node)
    assert [each["id"] for each in await chat.history()] == ["one"]
