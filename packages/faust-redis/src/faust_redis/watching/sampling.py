"""Sample every topic as each of its readers sees it, in one round trip.

The number of commands depends on topics, partitions and groups, never on the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis.inspection import GroupSampler
from faust_redis.redis.clients import execute_many
from faust_redis.redis.commands import Command
from faust_redis.samples import GroupSample
from faust_redis.watching.topology import Topology

__all__ = ["NO_READER", "Sampler", "WatchSample"]

#: Stands for the reader of a topic that no app reads; no group has this name.
NO_READER = ""


@dataclass(frozen=True, slots=True)
class WatchSample:
    """All topics at one moment.

    Attributes:
        at: The server's time in seconds.
        readings: A sample for each topic and reader, by their names in this order; ``NO_READER`` for a topic
            without readers.
    """

    at: float
    readings: Mapping[tuple[str, str], GroupSample]

    def of_reader(self, name: str) -> dict[str, GroupSample]:
        """Return the samples of one reader by topic."""
        return {topic: group for (topic, reader), group in self.readings.items() if reader == name}


class Sampler:
    """Samples the topics of a topology, which may change between two samples."""

    def __init__(self, redis: Redis, namespace: str = "") -> None:
        """Take a client that does not decode responses."""
        self._redis = redis
        self._namespace = namespace
        self._samplers: dict[tuple[str, str], GroupSampler] = {}

    def follow(self, topology: Topology) -> None:
        """Set the topics and readers to sample."""
        wanted = [
            (topic, reader) for topic in topology.topics for reader in topology.readers(topic) or [NO_READER]
        ]
        known = self._samplers
        self._samplers = {
            (topic, reader): known.get((topic, reader))
            or GroupSampler(topic, reader or "\0", namespace=self._namespace)
            for topic, reader in wanted
        }

    async def sample(self) -> WatchSample:
        """Sample once: one round trip, or two when a topic is new.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        sample = await self._ask()
        is_stale = any(sampler.is_stale for sampler in self._samplers.values())
        return await self._ask() if is_stale else sample

    async def _ask(self) -> WatchSample:
        try:
            return self._read(iter(await self._send()))
        except NoScriptError:
            await GroupSampler.load(self._redis)
            return self._read(iter(await self._send()))

    async def _send(self) -> list[Any]:
        commands: list[Command] = [("TIME",)]
        for sampler in self._samplers.values():
            commands += sampler.commands()
        return await execute_many(self._redis, commands)

    def _read(self, replies: Iterator[Any]) -> WatchSample:
        time = next(replies)
        if isinstance(time, Exception):
            raise time
        seconds, micros = map(int, time)
        readings = {place: sampler.read(replies) for place, sampler in self._samplers.items()}
        return WatchSample(seconds + micros / 1e6, readings)
