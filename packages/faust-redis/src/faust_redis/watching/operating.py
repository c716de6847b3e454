"""What an operator may do to topics and apps: replay dead letters, search entries, move a group's offsets.

Each action that changes something has a preview that changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from faust_redis.errors import NoSuchDeadLetterError, SeekError, UnreadableEntryError
from faust_redis.inspection import Inspector
from faust_redis.log.dead_letters import DeadLetter, DeadLetters
from faust_redis.log.entries import Record, decode
from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicFacts, partition_of
from faust_redis.redis.clients import execute_many
from faust_redis.redis.commands import Command, execute
from faust_redis.redis.scripts import MOVE_GROUP, ScriptRunner
from faust_redis.samples import StreamEntry

__all__ = ["LetterPreview", "Move", "Operator", "SearchPage"]

#: Dead letters of one preview, and so of one replay.
LETTERS: Final = 1000
#: Entries that one step of a search reads, and all steps of one call.
STEP: Final = 200
SEARCHED: Final = 10_000
#: Entries that one call of a search returns.
HITS: Final = 20


@dataclass(frozen=True, slots=True)
class LetterPreview:
    """The dead letters that a replay would take.

    Attributes:
        ids: Their ids, the oldest first.
        groups: How many each app has given up.
        errors: How many have each kind of error.
        more: Whether there are more than one call takes.
    """

    ids: list[str]
    groups: dict[str, int]
    errors: dict[str, int]
    more: bool


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A part of a search.

    Attributes:
        hits: Partition and entry, the latest of each partition first.
        searched: Entries that were read for it.
        cursor: Where the next part begins; None at the end.
    """

    hits: list[tuple[int, StreamEntry]]
    searched: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """A move of one partition's offset: the next entry to read, before and after."""

    partition: int
    before: int
    after: int


class Operator:
    """Acts on the topics and apps of a namespace."""

    def __init__(self, redis: Redis, *, namespace: str = "") -> None:
        """Take a client that does not decode responses."""
        self._redis = redis
        self._namespace = namespace
        self._keys = Keys(namespace)
        self.letters = DeadLetters(redis, namespace=namespace)

    async def preview(
        self, topic: str, *, group: str | None = None, error: str | None = None
    ) -> LetterPreview:
        """Return the dead letters of a topic that a replay would take.

        Args:
            group: Only those that this app has given up.
            error: Only those whose error begins with this text.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        found: list[DeadLetter] = []
        before: str | None = None
        while page := await self.letters.page([topic], before=before, count=100):
            found += [each for each in page if _is_selected(each, group, error)]
            before = page[-1].id
            if len(found) > LETTERS:
                break
        kept = found[:LETTERS]
        return LetterPreview(
            [letter.id for letter in reversed(kept)],
            dict(Counter(letter.group for letter in kept)),
            dict(Counter(letter.error.partition(":")[0] for letter in kept)),
            more=len(found) > LETTERS,
        )

    async def act(self, action: str, ids: Iterable[str]) -> tuple[int, list[str]]:
        """Replay or drop dead letters, in this order; return how many, and the ids that no longer exist.

        Args:
            action: ``replay`` or ``drop``.

        Raises:
            redis.exceptions.RedisError: Redis is away; a repeated call goes on with the rest.
        """
        done, missing = 0, []
        for letter_id in ids:
            try:
                if action == "drop":
                    await self.letters.drop(letter_id)
                else:
                    await self.letters.replay(letter_id)
                done += 1
            except NoSuchDeadLetterError:
                missing.append(letter_id)
        return done, missing

    async def pause(self, app: str, topic: str, partition: int | None = None) -> None:
        """Pause a topic, or one partition of it, for an app, until :meth:`resume`.

        Its workers read nothing more of it after two seconds; entries that they have read are finished.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        seconds, micros = await execute(self._redis, "TIME")
        paused_at = int(seconds) * 1000 + int(micros) // 1000
        await execute(self._redis, "HSET", self._keys.paused(app), _place(topic, partition), paused_at)

    async def require_place(self, app: str, topic: str, partition: int | None = None) -> None:
        """Require that an app and a topic exist, because a pause with a typo would have no effect.

        Raises:
            ValueError: There is no such app, topic or partition.
            redis.exceptions.RedisError: Redis is away.
        """
        partitions = await execute(self._redis, "HGET", self._keys.topic(topic), "partitions")
        if partitions is None:
            raise ValueError(f"there is no topic {topic!r}")
        if partition is not None and partition >= int(partitions):
            raise ValueError(f"topic {topic!r} has the partitions 0 to {int(partitions) - 1}")
        group = self._keys.group(app)
        if await execute(self._redis, "EXISTS", group.state, group.members, group.heartbeats):
            return
        try:
            readers = await self._redis.xinfo_groups(self._keys.stream((topic, partition or 0)))
        except ResponseError:  # nothing was ever sent
            readers = []
        if app.encode() not in {reader["name"] for reader in readers}:
            raise ValueError(f"no app {app!r} has had a worker here, and none of this name reads {topic!r}")

    async def resume(self, app: str, topic: str, partition: int | None = None) -> bool:
        """Resume what :meth:`pause` has paused; return whether it was.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        return bool(await execute(self._redis, "HDEL", self._keys.paused(app), _place(topic, partition)))

    async def search(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        trace: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
    ) -> SearchPage:
        """Search the entries of a topic, the latest of each partition first, a bounded part in each call.

        Args:
            key: Only entries with this key. By the default partitioner they are in one partition, which is
                searched first.
            trace: Only entries of this trace, from their header ``traceparent``.
            text: Only entries whose value holds this text.
            cursor: That of the part before.

        Raises:
            ValueError: The cursor is not one of a search.
            redis.exceptions.RedisError: Redis is away.
        """
        facts = await Inspector(self._redis, namespace=self._namespace).topic(topic)
        order = _order(facts, key)
        at, offset = _position(cursor)
        hits: list[tuple[int, StreamEntry]] = []
        searched = 0
        while at < len(order):
            end = "+" if offset is None else f"(0-{offset}"
            stream = self._keys.stream((topic, order[at]))
            found = await execute(self._redis, "XREVRANGE", stream, end, "-", "COUNT", STEP)
            searched += len(found)
            for entry_id, fields in found:
                record = _readable(entry_id, fields)
                if record is not None and _matches(record, key, trace, text):
                    hits.append((order[at], StreamEntry(record.offset, record)))
                    if len(hits) == HITS:
                        return SearchPage(hits, searched, f"{at}:{record.offset}")
            if len(found) < STEP:
                at, offset = at + 1, None
            else:
                offset = int(found[-1][0].partition(b"-")[2])
            if searched >= SEARCHED and at < len(order):
                return SearchPage(hits, searched, f"{at}:{'' if offset is None else offset}")
        return SearchPage(hits, searched, None)

    async def moves(self, app: str, topic: str, to: str) -> list[Move]:
        """Return what :meth:`move` would do.

        Args:
            to: ``earliest``, ``latest``, or the offset of the next entry to read in each partition.

        Raises:
            SeekError: The topic is a queue, which keeps no acked entries; or the app has workers.
            ValueError: ``to`` is none of these.
            redis.exceptions.RedisError: Redis is away.
        """
        facts = await Inspector(self._redis, namespace=self._namespace).topic(topic)
        if facts is None or facts.is_queue:
            raise SeekError(topic, 0, "it keeps no entries, so its offsets can't be moved")
        sample = await Inspector(self._redis, namespace=self._namespace).sample(topic, app)
        if sample.members:
            raise SeekError(topic, 0, f"{app} has {len(sample.members)} workers; stop them first")
        firsts = await self._firsts(topic, facts)
        moves = []
        for number, (partition, first) in enumerate(zip(sample.partitions, firsts, strict=True)):
            end = partition.added + 1
            wanted = {"earliest": first, "latest": end}.get(to)
            if wanted is None:
                if not to.isdecimal():
                    raise ValueError(f"{to!r} is neither earliest, latest nor an offset")
                wanted = min(max(int(to), first), end)
            before = partition.oldest or partition.read + 1
            moves.append(Move(number, before, wanted))
        return moves

    async def move(self, app: str, topic: str, to: str) -> list[Move]:
        """Move an app's offsets in a topic that keeps its entries; the app must have no worker.

        Entries that its workers had read and not acked, and their counts of failures, are forgotten.

        Raises:
            SeekError, ValueError, redis.exceptions.RedisError: As :meth:`moves`.
        """
        moves = await self.moves(app, topic, to)
        scripts = ScriptRunner(self._redis)
        for move in moves:
            place = (topic, move.partition)
            keys = [
                self._keys.stream(place),
                self._keys.attempts(place, app),
                self._keys.suspects(place, app),
            ]
            await scripts.call(MOVE_GROUP, keys, group=app, before_id=f"0-{move.after - 1}")
        return moves

    async def _firsts(self, topic: str, facts: TopicFacts) -> list[int]:
        """Return the offset of the first entry of each partition, or 1."""
        places = [(topic, number) for number in range(facts.partitions)]
        commands: list[Command] = [
            ("XRANGE", self._keys.stream(place), "-", "+", "COUNT", 1) for place in places
        ]
        replies: list[Any] = await execute_many(self._redis, commands)
        return [int(found[0][0].partition(b"-")[2]) if found else 1 for found in replies]


def _place(topic: str, partition: int | None) -> str:
    return topic if partition is None else f"{topic}:{partition}"


def _is_selected(letter: DeadLetter, group: str | None, error: str | None) -> bool:
    return (group is None or letter.group == group) and (error is None or letter.error.startswith(error))


def _order(facts: TopicFacts | None, key: bytes | None) -> list[int]:
    """Return the partitions in the order of a search."""
    numbers = list(range(facts.partitions if facts is not None else 0))
    if key is not None and numbers:
        first = partition_of(key, len(numbers))
        numbers.sort(key=lambda number: number != first)
    return numbers


def _position(cursor: str | None) -> tuple[int, int | None]:
    if cursor is None:
        return 0, None
    at, _, offset = cursor.partition(":")
    if not at.isdecimal() or (offset and not offset.isdecimal()):
        raise ValueError(f"{cursor!r} is not the cursor of a search")
    return int(at), int(offset) if offset else None


def _readable(entry_id: bytes, reply: Any) -> Record | None:
    flat: Sequence[bytes] = (
        [part for pair in reply.items() for part in pair] if isinstance(reply, dict) else reply
    )
    try:
        return decode(entry_id, list(flat))
    except UnreadableEntryError:
        return None


def _matches(record: Record, key: bytes | None, trace: str | None, text: str | None) -> bool:
    if key is not None and record.key != key:
        return False
    if trace is not None:
        header = dict(record.headers).get("traceparent") or b""
        if trace.encode() not in header.split(b"-"):
            return False
    return text is None or text.encode() in (record.value or b"")
