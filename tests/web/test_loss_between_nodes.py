"""Several web processes whose Redis has lost messages that it had confirmed."""

from __future__ import annotations

from faust_redis.testing import eventually
from tests.web.conftest import Node
from tests.web.lossy_chat import accept_all, answer, connected, lost_connection, moved, sent
from web import keys


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
