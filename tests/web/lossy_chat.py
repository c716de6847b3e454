"""A chat whose Redis loses messages that it had confirmed."""

from __future__ import annotations

from typing import Any

from faust_redis.testing import eventually
from pipeline.chat.records import Frame, Inbound, TurnOutcome
from pipeline.chat.results import Closed, Missing
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from tests.support.chat_client import StreamSocket
from tests.web.conftest import Node
from web import keys
from web.chat.protocol import ClientMessage


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


async def moved(chat: Chat, other: Node) -> Chat:
    """Return the chat with a further socket, on another web process."""
    socket = await other.client.stream(chat.token)
    await other.joined(chat.token)
    await eventually(
        lambda: chat.token in other.app[keys.HUB].repair.sent._last, "the state of the session is known"
    )
    return Chat(other, chat.token, socket)
