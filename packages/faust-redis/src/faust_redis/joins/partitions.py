"""The partitions that the sides of a join share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol, cast

from faust.types import TP, AppT, Message

from faust_redis.consuming.attempts import attempts_before
from faust_redis.context import context_of
from faust_redis.errors import CopartitionError
from faust_redis.joins.progress import Done
from faust_redis.redis.scripts import SAMPLE_PARTITION

__all__ = ["Partitions"]


class _Persisting(Protocol):
    async def persist(self, call: Any) -> Any: ...


class Partitions:
    """Asks Redis about the partitions of topics."""

    def __init__(self, app: AppT) -> None:
        self._app = app
        self._context = context_of(app.transport)
        self._group = app.conf.id

    async def count(self, topic: str) -> int:
        """Return the number of partitions of a topic that this worker reads; declare it, if it is new.

        Raises:
            TopicMismatchError: Redis has recorded another number than the program declares.
        """
        declare = partial(self._context.topics.declare_to_read, topic)
        return int((await cast(_Persisting, self._app.consumer).persist(declare)).partitions)

    async def agreed(self, join: str, topics: Iterable[str]) -> int:
        """Return the number of partitions that all topics have.

        Raises:
            CopartitionError: They differ in it.
        """
        counts = {topic: await self.count(topic) for topic in topics}
        if len(set(counts.values())) > 1:
            raise CopartitionError(join, counts)
        return next(iter(counts.values()))

    def partition_for(self, topic: str, key: bytes | None) -> int:
        """Return the partition of a key."""
        return self._context.topics.partition_for(topic, key)

    @staticmethod
    def tps(topics: Iterable[str], numbers: Iterable[int]) -> list[TP]:
        """Return these partitions of all topics."""
        wanted = list(numbers)
        return [TP(topic, number) for topic in topics for number in wanted]

    async def done(self, tps: Iterable[TP]) -> dict[TP, Done]:
        """Return this group's progress in partitions.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        names = self._context.keys
        wanted = list(tps)
        calls = [
            SAMPLE_PARTITION.command(
                [
                    names.stream(tp),
                    names.lease(tp, self._group),
                    names.attempts(tp, self._group),
                    names.dead(tp),
                ],
                group=self._group,
            )
            for tp in wanted
        ]
        replies = await self._context.scripts.run(SAMPLE_PARTITION, calls, self._context.server.stream)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return {
            tp: Done(last=int(reply[1]), oldest=int(reply[4]))
            for tp, reply in zip(wanted, replies, strict=True)
        }

    @property
    def are_exact(self) -> bool:
        """Whether each event counts exactly once: changes of the buffer are committed with its ack."""
        return self._context.transactions is not None

    def has_failed(self, message: Message) -> bool:
        """Return whether an agent has failed or rejected a message that it was given."""
        return bool(cast(Any, self._app.consumer).failures.has_failed(message))

    def is_last_attempt(self, message: Message) -> bool:
        """Return whether a message becomes a dead letter when it fails now."""
        return attempts_before(message) + 1 >= self._context.options.attempts
