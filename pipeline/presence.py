"""Which web nodes hold sockets of a session, and the way of a frame to those nodes.

    presence:{<token>}   set of node ids, lives 300 s; a node that still has a socket renews it
    web:<node>           stream of frames for that node, fields `token` and `frame` (JSON); the node
                         creates it and keeps it alive

A node that died leaves its presence behind; the first frame for it finds no stream and removes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from pipeline.messages import Frame
from pipeline.redis_client import outlasting

# Seconds that a session's presence lives after the node renewed it last.
PRESENCE_TTL = 300

# Frames kept per node: a node that reads no more must not fill Redis. The sessions hold what is lost.
STREAM_LIMIT = 10_000


def presence_key(token: str) -> str:
    """Return the key of the set of nodes that hold sockets of a session."""
    return f"presence:{{{token}}}"


def node_stream(node: str) -> str:
    """Return the key of the stream that a web node reads."""
    return f"web:{node}"


# A frame on its way to one node: token, node, frame as JSON.
_Copy = tuple[str, str, str]


def _add(token: str, node: str, text: str) -> tuple[Any, ...]:
    limit = ("NOMKSTREAM", "MAXLEN", "~", STREAM_LIMIT)
    return ("XADD", node_stream(node), *limit, "*", "token", token, "frame", text)


class Presence:
    """Who is where; agents `publish`, web nodes do the rest."""

    def __init__(self, redis: Redis, *, patience: float | None = None) -> None:
        """Take the connection.

        Args:
            patience: seconds to wait for Redis before its error is raised; None waits without end.
        """
        self._redis = redis
        self._patience = patience

    async def hold(self, node: str, tokens: Iterable[str]) -> None:
        """Say, or say again, that a node has sockets of these sessions."""
        commands: list[tuple[Any, ...]] = []
        for token in tokens:
            commands.append(("SADD", presence_key(token), node))
            commands.append(("EXPIRE", presence_key(token), PRESENCE_TTL))
        await self._pipeline(commands)

    async def release(self, node: str, tokens: Iterable[str]) -> None:
        """Say that a node has no socket of these sessions any more."""
        await self._pipeline([("SREM", presence_key(token), node) for token in tokens])

    async def publish(self, frames: Sequence[tuple[str, Frame]]) -> int:
        """Send frames, given as (token, frame), to every node that holds a socket of their session.

        Returns:
            How many copies were handed to nodes; 0 when nobody listens.
        """
        holders = await self._pipeline([("SMEMBERS", presence_key(token)) for token, _ in frames])
        copies = [
            (token, node.decode(), json.dumps(frame, ensure_ascii=False))
            for (token, frame), nodes in zip(frames, holders, strict=True)
            for node in nodes
        ]
        written = await self._pipeline([_add(*copy) for copy in copies])
        lost = [copy for copy, entry in zip(copies, written, strict=True) if entry is None]
        revived = await self._forget(lost) if lost else 0
        return len(copies) - len(lost) + revived

    async def _forget(self, lost: Sequence[_Copy]) -> int:
        """Remove nodes whose stream is gone from presence; return how many copies went out after all.

        A node that was only paused creates its stream, then holds its sessions again. Our removal may come
        after that, so whoever has a stream by then is put back.
        """
        await self._pipeline([("SREM", presence_key(token), node) for token, node, _ in lost])
        alive = await self._pipeline([("EXISTS", node_stream(node)) for _, node, _ in lost])
        back = [copy for copy, exists in zip(lost, alive, strict=True) if exists]
        await self._pipeline([("SADD", presence_key(token), node) for token, node, _ in back])
        await self._pipeline([_add(*copy) for copy in back])
        return len(back)

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one round trip, again from the first one when Redis goes away."""
        if not commands:
            return []

        async def run() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return list(await pipe.execute())

        return await outlasting(run, patience=self._patience)
