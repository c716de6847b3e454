"""A socket whose session goes on while the web process joins it: before its node is present, and after."""

from __future__ import annotations

from faust_redis.testing import eventually
from pipeline.chat.records import Inbound
from pipeline.chat.results import Opened, Queued
from tests.web.conftest import Gate, Node


async def accept(node: Node, token: str, message_id: str) -> None:
    """Accept a message as ingest does; its frame goes to the nodes that are present."""
    inbound = Inbound(token=token, id=message_id, text="Hello", sent_at=0.0)
    accepted = await node.sessions.accept(inbound, f"ingest:0:{message_id}")
    assert isinstance(accepted, Opened | Queued)
    position = accepted.place if isinstance(accepted, Queued) else 0
    await node.publish(token, {"type": "accepted", "id": message_id, "position": position})


async def test_messages_accepted_before_the_node_is_present_are_told_so_in_order(
    node: Node, before_presence: Gate
) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    for number in range(4):
        await socket.say("Hello", f"m{number}")
    await eventually(lambda: len(node.intake.messages) == 4, "all to be sent on")
    for early in ("m0", "m1", "m2"):
        await accept(node, token, early)
    before_presence.open.set()
    await node.joined(token)
    await accept(node, token, "m3")
    frames = [await socket.frame() for _ in range(4)]
    assert frames == [{"type": "accepted", "id": f"m{number}", "position": number} for number in range(4)]
    assert await socket.silent(0.1)


async def test_messages_of_other_sockets_are_not_accepted_again_on_one_that_joins(node: Node) -> None:
    token = await node.client.token()
    for early in ("m0", "m1"):
        await accept(node, token, early)
    socket = await node.client.stream(token)
    await node.joined(token)
    assert await socket.silent(0.1)


async def test_a_stop_of_a_message_accepted_before_the_node_is_present_stops_it(
    node: Node, before_presence: Gate
) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await socket.say("Hello", "m0")
    await socket.put(type="stop")  # before the session has the message
    await socket.put(type="ping")
    assert (await socket.frame())["type"] == "pong"
    await accept(node, token, "m0")
    before_presence.open.set()
    await eventually(lambda: node.intake.stopped == [(token, "m0")], "the turn to be ended")


async def test_the_next_message_follows_one_accepted_before_the_node_is_present(
    node: Node, before_presence: Gate
) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await before_presence.reached.wait()
    await socket.put(type="ping")  # by its answer the process has had time to read the session
    await socket.frame()
    await accept(node, token, "other")
    before_presence.open.set()
    await node.joined(token)
    await socket.say("Hello", "m0")
    await eventually(lambda: node.intake.messages != [], "the message to be sent on")
    assert node.intake.messages[0][1].follows == "other"


async def test_the_next_message_follows_one_accepted_while_the_session_was_read(
    node: Node, after_adoption: Gate
) -> None:
    token = await node.client.token()
    socket = await node.client.stream(token)
    await after_adoption.reached.wait()
    await node.joined(token)
    for name in ("other", "another"):
        await accept(node, token, name)
        assert (await socket.frame())["id"] == name
    after_adoption.open.set()
    await socket.say("Hello", "m0")
    await eventually(lambda: node.intake.messages != [], "the message to be sent on")
    assert node.intake.messages[0][1].follows == "another"
