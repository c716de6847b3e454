"""Presence against a real Redis."""

from __future__ import annotations

import json
import uuid
from typing import Any

from redis.asyncio import Redis

from pipeline.chat.presence import PRESENCE_TTL, Presence, node_stream, presence_key
from pipeline.chat.records import Frame

FRAME: Frame = {"type": "message", "id": "f1", "msg": "hällo", "timestamp": "2026-01-01T00:00:00Z"}
NOTICE: Frame = {"type": "start", "turn": "t1", "run": 1}


async def start_node(redis: Redis) -> str:
    node = uuid.uuid4().hex
    await redis.xadd(node_stream(node), {"node": node})
    await redis.expire(node_stream(node), 30)
    return node


async def received(redis: Redis, node: str) -> list[tuple[str, Frame]]:
    entries: Any = await redis.xrange(node_stream(node))
    return [
        (of, frame)
        for _, fields in entries
        if b"frames" in fields
        for of, frame in json.loads(fields[b"frames"])
    ]


async def test_a_frame_goes_to_every_node_that_holds_the_session_and_to_no_other(
    redis: Redis, presence: Presence, token: str
) -> None:
    nodes = [await start_node(redis) for _ in range(3)]
    for node in nodes[:2]:
        await presence.hold(node, {token: True})
    await presence.hold(nodes[2], {str(uuid.uuid4()): True})
    assert await presence.publish([(token, FRAME)]) == 2
    assert [await received(redis, node) for node in nodes] == [[(token, FRAME)], [(token, FRAME)], []]


async def test_frames_for_one_node_travel_in_one_entry(redis: Redis, presence: Presence, token: str) -> None:
    node = await start_node(redis)
    await presence.hold(node, {token: True})
    assert await presence.publish([(token, NOTICE), (token, FRAME)]) == 2
    assert await received(redis, node) == [(token, NOTICE), (token, FRAME)]
    assert await redis.xlen(node_stream(node)) == 2  # with the one that made the stream


async def test_a_node_without_streaming_sockets_gets_no_notices(
    redis: Redis, presence: Presence, token: str
) -> None:
    node = await start_node(redis)
    await presence.hold(node, {token: False})
    assert await presence.publish([(token, NOTICE), (token, FRAME)]) == 1
    assert await received(redis, node) == [(token, FRAME)]


async def test_a_presence_ends_by_itself(redis: Redis, presence: Presence, token: str) -> None:
    await presence.hold("node", {token: True})
    assert 0 < await redis.ttl(presence_key(token)) <= PRESENCE_TTL


async def test_a_node_that_released_a_session_gets_no_more_frames(
    redis: Redis, presence: Presence, token: str
) -> None:
    node = await start_node(redis)
    await presence.hold(node, {token: True})
    await presence.release(node, [token])
    assert await presence.publish([(token, FRAME)]) == 0
    assert await received(redis, node) == []


async def test_a_dead_node_is_forgotten_and_its_stream_not_made_again(
    redis: Redis, presence: Presence, token: str
) -> None:
    alive = await start_node(redis)
    await presence.hold("dead", {token: True})
    await presence.hold(alive, {token: True})
    assert await presence.publish([(token, FRAME)]) == 1
    assert set(await redis.hkeys(presence_key(token))) == {alive.encode()}
    assert not await redis.exists(node_stream("dead"))


async def test_publishing_does_not_prolong_the_life_of_a_nodes_stream(
    redis: Redis, presence: Presence, token: str
) -> None:
    node = await start_node(redis)
    await presence.hold(node, {token: True})
    await presence.publish([(token, FRAME)])
    assert 0 < await redis.ttl(node_stream(node)) <= 30


async def test_a_node_that_came_back_in_the_meantime_keeps_its_sessions(redis: Redis, token: str) -> None:
    """The node's stream was gone when the frame was written, and is there when its presence is removed."""
    node = uuid.uuid4().hex

    class NodeComesBack(Presence):
        async def _pipeline(self, commands):  # type: ignore[no-untyped-def]
            if commands and commands[0][0] == "HDEL":
                await redis.xadd(node_stream(node), {"node": node})
                await redis.expire(node_stream(node), 30)
            return await super()._pipeline(commands)

    presence = NodeComesBack(redis)
    await presence.hold(node, {token: True})
    assert await presence.publish([(token, FRAME)]) == 1
    assert await received(redis, node) == [(token, FRAME)]
    assert set(await redis.hkeys(presence_key(token))) == {node.encode()}


async def test_nothing_to_do_is_no_round_trip(presence: Presence) -> None:
    await presence.hold("node", {})
    await presence.release("node", [])
    assert await presence.publish([]) == 0
