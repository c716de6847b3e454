"""Record which web nodes hold sockets of a session, and send frames to those nodes.

    presence:{<token>}   hash: node id → "1" if a socket there takes tokens, else "0"; expires after 300 s
                         unless a node with a socket renews it
    web:<node>           stream of one node, one field ``frames``: a JSON list of [token, frame]; see
                         ``pipeline.chat.node_stream``

A node that died leaves its presence behind; the first frame for it finds no stream and removes the entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from redis.asyncio import Redis

from pipeline.chat.records import Frame
from pipeline.redis.client import execute_many, retry_until_available
from pipeline.redis.keys import node_stream, presence_key

#: Seconds that a session's presence lives after its last renewal.
PRESENCE_TTL = 300

#: The field of an entry of a node's stream that holds frames.
FIELD_FRAMES = b"frames"

# Frames that sockets for finished answers do not get.
_NOTICES = ("accepted", "start", "token", "thought", "thought_end")


@dataclass(frozen=True)
class SubscriberNodes:
    """The web nodes that hold sockets of a session.

    Attributes:
        all: the ids of all of these nodes.
        streaming: the ids of the nodes with a socket that takes tokens.
    """

    all: tuple[str, ...] = ()
    streaming: tuple[str, ...] = ()

    @classmethod
    def of(cls, reply: Sequence[bytes]) -> SubscriberNodes:
        """Decode a reply of HGETALL."""
        return _decoded(tuple(reply))

    def of_frame(self, frame: Frame) -> tuple[str, ...]:
        """Return the nodes that need a frame."""
        return self.streaming if frame["type"] in _NOTICES else self.all


# Most sessions have their only socket at one of few nodes, so few replies differ.
@lru_cache(maxsize=1024)
def _decoded(reply: tuple[bytes, ...]) -> SubscriberNodes:
    names = [name.decode() for name in reply[::2]]
    streaming = (name for name, kind in zip(names, reply[1::2], strict=True) if kind == b"1")
    return SubscriberNodes(tuple(names), tuple(streaming))


#: The frames of one entry of a node's stream, as (token, frame).
Batch = list[tuple[str, Frame]]


def add_command(node: str, batch: Batch) -> tuple[Any, ...]:
    """Return the command that appends frames to a node's stream; its reply is None when the node is gone."""
    # Not bounded here: the node trims what it has read, and the stream of a node that stops reading expires.
    return ("XADD", node_stream(node), "NOMKSTREAM", "*", FIELD_FRAMES, orjson.dumps(batch))


class Presence:
    """Maintain the presence of sessions; agents call ``publish``, web nodes the other methods."""

    def __init__(self, redis: Redis, *, patience: float | None = None) -> None:
        """Store the client.

        Args:
            patience: seconds to wait for Redis before its error is raised; None waits without limit.
        """
        self._redis = redis
        self._patience = patience

    async def hold(self, node: str, sessions: Mapping[str, bool]) -> None:
        """Record or renew that a node has sockets of these sessions; True where one takes tokens."""
        commands: list[tuple[Any, ...]] = []
        for token, streaming in sessions.items():
            commands.append(("HSET", presence_key(token), node, int(streaming)))
            commands.append(("EXPIRE", presence_key(token), PRESENCE_TTL))
        await self._pipeline(commands)

    async def release(self, node: str, tokens: Iterable[str]) -> None:
        """Remove a node from the presence of these sessions."""
        await self._pipeline([("HDEL", presence_key(token), node) for token in tokens])

    async def publish(self, frames: Sequence[tuple[str, Frame]]) -> int:
        """Send frames, given as (token, frame), to every node that holds a socket of their session.

        Returns:
            The number of copies that reached a node's stream; 0 when no node holds a socket.
        """
        replies = await self._pipeline([("HGETALL", presence_key(token)) for token, _ in frames])
        subscribers = map(SubscriberNodes.of, replies)
        known = [(token, held, frame) for (token, frame), held in zip(frames, subscribers, strict=True)]
        return await self.publish_to(known)

    async def publish_to(self, frames: Iterable[tuple[str, SubscriberNodes, Frame]]) -> int:
        """Send frames, given as (token, nodes, frame), to the nodes named; otherwise like ``publish``."""
        batches: defaultdict[str, Batch] = defaultdict(list)
        for token, subscribers, frame in frames:
            for node in subscribers.of_frame(frame):
                batches[node].append((token, frame))
        nodes = list(batches)
        written = await self._pipeline([add_command(node, batches[node]) for node in nodes])
        lost = {node: batches[node] for node, entry in zip(nodes, written, strict=True) if entry is None}
        kept = sum(len(batch) for node, batch in batches.items() if node not in lost)
        return kept + (await self.forget(lost) if lost else 0)

    async def forget(self, lost: Mapping[str, Batch]) -> int:
        """Remove nodes without a stream from presence; return the number of copies delivered after all.

        A node that was only paused creates its stream, then records its presence. This removal may come
        after that, so nodes that have a stream by then are restored.
        """
        tokens = {node: {token for token, _ in batch} for node, batch in lost.items()}
        await self._pipeline([("HDEL", presence_key(token), node) for node, token in _pairs(tokens)])
        nodes = list(lost)
        alive = await self._pipeline([("EXISTS", node_stream(node)) for node in nodes])
        back = [node for node, exists in zip(nodes, alive, strict=True) if exists]
        # Restored as nodes that take tokens: the node drops surplus tokens, but missing ones would be lost.
        await self._pipeline(
            [
                command
                for node in back
                for token in tokens[node]
                for command in (
                    ("HSET", presence_key(token), node, 1),
                    ("EXPIRE", presence_key(token), PRESENCE_TTL),  # it may have been removed meanwhile
                )
            ]
        )
        await self._pipeline([add_command(node, lost[node]) for node in back])
        return sum(len(lost[node]) for node in back)

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one round trip; repeat all of them after an outage of Redis."""
        if not commands:
            return []

        return await retry_until_available(
            lambda: execute_many(self._redis, commands), patience=self._patience
        )


def _pairs(tokens: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    return [(node, token) for node, each in tokens.items() for token in each]
