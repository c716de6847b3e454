"""Find all topics and apps of a namespace on any Redis, without knowing a name.

The names come from one ``SCAN`` for the keys of declarations and groups. Its cost grows with the number of
keys of the server, never with that of entries; a million keys take about a second of short commands, so
:class:`~faust_redis.watching.Watch` scans seldom on a large server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata  # type: ignore[import-untyped]
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.clients import execute_many
from faust_redis.redis.commands import Command
from faust_redis.watching.topology import AppFacts, Topology, producer_app

__all__ = ["discover"]

#: Keys that one step of the scan visits: each step holds Redis for well under a millisecond.
SCAN_COUNT: Final = 1000
#: Commands of one round trip.
BATCH: Final = 500
#: Producers sampled of each partition: a topic may have had thousands of short-lived ones.
PRODUCERS: Final = 16


async def discover(redis: Redis, namespace: str = "") -> Topology:
    """Return all topics and apps of a namespace, with who reads and writes what.

    Args:
        redis: A client that does not decode responses.

    Raises:
        redis.exceptions.RedisError: Redis is away.
        ValueError: The namespace is not allowed as one.
    """
    keys = Keys(namespace)
    topics, groups = await _names(redis, keys)
    declared = await _ask(redis, [_declaration(keys, topic) for topic in topics])
    facts = {
        topic: TopicFacts(int(reply[0]), int(reply[1] or 0), bool(int(reply[2] or 0)))
        for topic, reply in zip(topics, declared, strict=True)
        if reply and reply[0] is not None
    }
    apps = await _apps(redis, keys, groups)
    places = [(topic, number) for topic, each in facts.items() for number in range(each.partitions)]
    found = await _groups(redis, keys, places)
    writers = await _writers(redis, keys, places)
    for app, each in apps.items():
        for topic in each.outputs.intersection(facts):
            writers[topic] = writers.get(topic, frozenset()) | {app}
    for name in set().union(*found.values(), *writers.values()):
        apps.setdefault(name, AppFacts())
    nobody: frozenset[str] = frozenset()
    return Topology(
        facts,
        apps,
        {topic: found.get(topic, nobody) for topic in facts},
        {topic: writers.get(topic, nobody) for topic in facts},
    )


async def _groups(redis: Redis, keys: Keys, places: Sequence[tuple[str, int]]) -> dict[str, frozenset[str]]:
    """Return the consumer groups of each topic."""
    replies = await _ask(redis, [("XINFO", "GROUPS", keys.stream(place)) for place in places])
    return _by_topic(places, [map(_group_name, infos or ()) for infos in replies])


async def _writers(redis: Redis, keys: Keys, places: Sequence[tuple[str, int]]) -> dict[str, frozenset[str]]:
    """Return the apps whose producers each topic knows."""
    replies = await _ask(redis, [("HRANDFIELD", keys.producers(place), PRODUCERS) for place in places])
    named = [[producer_app(_text(producer)) for producer in ids or ()] for ids in replies]
    return _by_topic(places, [filter(None, apps) for apps in named])


def _by_topic(places: Sequence[tuple[str, int]], names: Sequence[Iterable[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for (topic, _), of_partition in zip(places, names, strict=True):
        found[topic] = found.get(topic, frozenset()).union(of_partition)
    return found


async def _names(redis: Redis, keys: Keys) -> tuple[list[str], list[str]]:
    """Return the names of all topics and groups."""
    topic_prefix = keys.topic("")
    before, after = keys.group("\0").state.split("\0")
    group = re.compile(f"{re.escape(before)}(.*){re.escape(after)}", re.DOTALL)
    topics, groups = set(), set()
    pattern = f"{topic_prefix.removesuffix('topic:')}*"
    async for key in redis.scan_iter(pattern, count=SCAN_COUNT):
        name = _text(key)
        if name.startswith(topic_prefix):
            topics.add(name.removeprefix(topic_prefix))
        elif match := group.fullmatch(name):
            groups.add(match[1])
    return sorted(topics), sorted(groups)


def _declaration(keys: Keys, topic: str) -> Command:
    return ("HMGET", keys.topic(topic), "partitions", "retention", "compacting")


async def _apps(redis: Redis, keys: Keys, groups: Sequence[str]) -> dict[str, AppFacts]:
    names = [keys.group(group) for group in groups]
    members = await _ask(redis, [("HGETALL", each.members) for each in names])
    since = await _ask(redis, [("HGET", each.state, "since") for each in names])
    outputs = await _ask(redis, [("HGETALL", keys.outputs(group)) for group in groups])
    return {
        group: AppFacts(
            {_text(member): _subscription(encoded) for member, encoded in _pairs(subscribed)},
            int(changed or 0) / 1000,
            frozenset(_text(topic) for topic, _ in _pairs(written)),
        )
        for group, subscribed, changed, written in zip(groups, members, since, outputs, strict=True)
    }


async def _ask(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Return the replies; None for a key that does not exist, or that this user may not read."""
    replies: list[Any] = []
    for at in range(0, len(commands), BATCH):
        replies += await execute_many(redis, commands[at : at + BATCH])
    return [_known(reply) for reply in replies]


def _known(reply: Any) -> Any:
    if isinstance(reply, NoPermissionError):
        return None
    if isinstance(reply, ResponseError) and "no such key" in str(reply):
        return None
    if isinstance(reply, Exception):
        raise reply
    return reply


def _pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    if not reply:
        return []
    return (
        list(reply.items()) if isinstance(reply, Mapping) else list(zip(reply[::2], reply[1::2], strict=True))
    )


def _group_name(info: Any) -> str:
    """Return the name in one row of ``XINFO GROUPS``: a mapping, or names and values in turn."""
    facts = info if isinstance(info, Mapping) else dict(zip(info[::2], info[1::2], strict=True))
    return _text(facts.get(b"name", facts.get("name", b"")))


def _subscription(encoded: bytes) -> frozenset[str]:
    """Return the topics of a member's subscription; none for one that can't be read."""
    try:
        return frozenset(ConsumerProtocolMemberMetadata.decode(encoded).subscription)
    except Exception:  # the decoder raises whatever its fields raise
        return frozenset()


def _text(name: Any) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name)
