"""Dead letters: events that were given up; read, replay or drop them.

``dead:{<topic>:<p>}`` is a stream; an entry holds the fields of the message as they were (see ``wire``) and

==============  ========================================================
``group``       the consumer group that gave it up
``offset``      the id it had in its partition
``attempts``    how often it was tried
``error``       the last error
==============  ========================================================

The id of the entry is the server's time at which the message was given up. The options
``dead_letter_limit`` and ``dead_letter_age`` bound how many are kept, and for how long: without a bound a
failing agent would fill Redis, and dead letters hold user data. An old one is removed when the next of its
partition comes, or when no other has come for that time.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from redis.asyncio import Redis

from faust_redis.errors import NoSuchDeadLetterError
from faust_redis.log.entries import Headers, decode_fields
from faust_redis.log.keys import Keys
from faust_redis.log.topics import partition_of
from faust_redis.redis.commands import AT_ONCE, execute
from faust_redis.redis.scripts import REPLAY, ScriptRunner

__all__ = ["DeadLetter", "DeadLetters"]

_T = TypeVar("_T")

# Dead letters that one command reads; each may hold a message of the largest size.
_PAGE = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up.

    Attributes:
        entry: Id of the entry among the dead letters, ``<ms>-<n>``.
        offset: The offset the message had in its partition.
        timestamp: When it was sent, in ms since the epoch; 0 for an entry that could not be read, which has
            no headers either.
    """

    topic: str
    partition: int
    entry: str
    group: str
    offset: int
    attempts: int
    error: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int

    @property
    def id(self) -> str:
        """Names this dead letter in all topics: ``<topic>:<partition>:<entry>``."""
        return f"{self.topic}:{self.partition}:{self.entry}"

    @property
    def died_at(self) -> float:
        """When it was given up, in seconds since the epoch."""
        return int(self.entry.partition("-")[0]) / 1000

    @property
    def trace_id(self) -> str | None:
        """The trace that the message belongs to, from its W3C ``traceparent`` header."""
        parts = (dict(self.headers).get("traceparent") or b"").decode("latin-1").split("-")
        return parts[1] if len(parts) == 4 else None


class DeadLetters:
    """Lists, replays and drops dead letters; each call is safe to repeat."""

    def __init__(self, redis: Redis, *, namespace: str = "") -> None:
        """Take a client that does not decode responses, and the namespace of the apps."""
        self._redis = redis
        self._keys = Keys(namespace)
        self._scripts = ScriptRunner(redis)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; 0 if it was never declared."""
        return int(await execute(self._redis, "HGET", self._keys.topic(topic), "partitions") or 0)

    async def counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the number of dead letters of each topic."""
        places = await self._places(topics)
        lengths = await _all_of(execute(self._redis, "XLEN", self._keys.dead(place)) for place in places)
        counts = dict.fromkeys(topics, 0)
        for (topic, _), length in zip(places, lengths, strict=True):
            counts[topic] += length
        return counts

    async def page(
        self,
        topics: Sequence[str],
        *,
        before: str | None = None,
        count: int = 50,
        since: float = 0,
        until: float | None = None,
    ) -> list[DeadLetter]:
        """Return dead letters of these topics, the latest first.

        Args:
            before: id of the last one of the page before this one.
            since, until: the range of the times at which they were given up, in seconds since the epoch.

        Raises:
            NoSuchDeadLetterError: ``before`` is not the id of a dead letter.
        """
        cursor = _parse(before) if before is not None else None
        oldest, latest = f"{int(since * 1000)}", "+" if until is None else f"{int(until * 1000)}"

        async def of(place: tuple[str, int]) -> list[DeadLetter]:
            end = latest
            if cursor is not None:
                end = cursor[2] if place < cursor[:2] else f"({cursor[2]}"
            found = await execute(
                self._redis, "XREVRANGE", self._keys.dead(place), end, oldest, "COUNT", count
            )
            return [_letter(*place, *entry) for entry in found]

        pages = await _all_of(map(of, await self._places(topics)))
        return list(islice(heapq.merge(*pages, key=_order, reverse=True), count))

    async def get(self, letter_id: str) -> DeadLetter:
        """Return one dead letter.

        Raises:
            NoSuchDeadLetterError: there is none with this id.
        """
        topic, partition, entry = _parse(letter_id)
        found = await execute(self._redis, "XRANGE", self._keys.dead((topic, partition)), entry, entry)
        if not found:
            raise NoSuchDeadLetterError(letter_id)
        return _letter(topic, partition, *found[0])

    async def replay(self, letter_id: str) -> int:
        """Put a dead letter back at the end of its partition, with the header ``replayed``, and drop it.

        Every group that reads the topic gets it, not only the one that had given it up.

        Returns:
            Its new offset.

        Raises:
            NoSuchDeadLetterError: there is none with this id, or no longer.
        """
        topic, partition, entry = _parse(letter_id)
        keys = [self._keys.dead((topic, partition)), self._keys.stream((topic, partition))]
        offset = await self._scripts.call(REPLAY, keys, entry_id=entry)
        if not offset:
            raise NoSuchDeadLetterError(letter_id)
        return int(offset)

    async def drop(self, letter_id: str) -> None:
        """Delete a dead letter.

        Raises:
            NoSuchDeadLetterError: there is none with this id, or no longer.
        """
        topic, partition, entry = _parse(letter_id)
        if not await execute(self._redis, "XDEL", self._keys.dead((topic, partition)), entry):
            raise NoSuchDeadLetterError(letter_id)

    async def drop_key(self, topics: Sequence[str], key: bytes, *, at_most: int = 1000) -> int:
        """Delete the dead letters of a key, for instance to delete a person's data.

        Args:
            topics: the topics to search.
            key: the key of the messages, as sent.
            at_most: maximum dead letters to search in the key's partition of each topic, the latest first.

        Returns:
            The number of dead letters deleted.
        """
        counts = await _all_of(map(self.partitions, topics))
        places = [(topic, partition_of(key, n)) for topic, n in zip(topics, counts, strict=True) if n]
        return sum(await _all_of(self._drop_key(place, key, at_most) for place in places))

    async def _drop_key(self, place: tuple[str, int], key: bytes, at_most: int) -> int:
        stream, end, dropped = self._keys.dead(place), "+", 0
        for _ in range(0, at_most, _PAGE):
            found = await execute(self._redis, "XREVRANGE", stream, end, "-", "COUNT", _PAGE)
            letters = [_letter(*place, *entry) for entry in found]
            if ids := [letter.entry for letter in letters if letter.key == key]:
                dropped += await execute(self._redis, "XDEL", stream, *ids)
            if len(letters) < _PAGE:
                break
            end = f"({letters[-1].entry}"
        return dropped

    async def _places(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        counts = await _all_of(map(self.partitions, topics))
        return [(topic, number) for topic, n in zip(topics, counts, strict=True) for number in range(n)]


async def _all_of(calls: Iterable[Awaitable[_T]]) -> list[_T]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def round_robin(call: Awaitable[_T]) -> _T:
        async with turn:
            return await call

    return await asyncio.gather(*map(round_robin, calls))


def _letter(topic: str, partition: int, entry_id: bytes, reply: Any) -> DeadLetter:
    # The transport's own client leaves replies as they come, others make a dict of the fields.
    fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    try:
        key, value, headers, timestamp = decode_fields(fields)
    except ValueError:  # an unreadable entry; its error gives the reason
        key, value, headers, timestamp = fields.get(b"k"), fields.get(b"v"), [], 0
    return DeadLetter(
        topic,
        partition,
        entry_id.decode(),
        fields[b"group"].decode(),
        int(fields[b"offset"].partition(b"-")[2]),
        int(fields[b"attempts"]),
        fields[b"error"].decode(errors="replace"),
        key,
        value,
        headers,
        timestamp,
    )


def _order(letter: DeadLetter) -> tuple[int, int, str, int]:
    millis, _, number = letter.entry.partition("-")
    return int(millis), int(number), letter.topic, letter.partition


def _parse(letter_id: str) -> tuple[str, int, str]:
    topic, _, rest = letter_id.rpartition(":")
    topic, _, partition = topic.rpartition(":")
    millis, _, number = rest.partition("-")
    if not (topic and partition.isdecimal() and millis.isdecimal() and number.isdecimal()):
        raise NoSuchDeadLetterError(letter_id)
    return topic, int(partition), rest
