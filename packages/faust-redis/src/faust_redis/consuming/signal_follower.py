"""Choose the streams of the next read of many partitions: all, or those that producers have signalled.

A reader begins with blocking reads of all streams. While these bring entries often, it waits for signals
(``faust_redis.log.topic_signals``) and reads the partitions that they name. It also reads all partitions five
times a second, without blocking, for entries that nobody has signalled. If there are such entries, it
returns to blocking reads of all streams for a while, so that those of another program are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from time import monotonic
from typing import Any, Final, NamedTuple

from mode import get_logger
from redis.exceptions import NoPermissionError, ResponseError

from faust_redis.consuming.blocking_read import BlockingRead
from faust_redis.consuming.read_plans import Streams
from faust_redis.log.keys import Keys
from faust_redis.log.topic_signals import ALL, MANY, is_signalled, partitions_of
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.commands import is_unavailable

__all__ = ["ReadChoice", "SignalFollower"]

logger = get_logger(__name__)

#: Seconds between two reads with entries, below which signals are followed from then on.
BUSY_INTERVAL: Final = 0.1
#: Seconds between reads of all streams, for which an entry without a signal waits at most.
FULL_READ_INTERVAL: Final = 0.2
#: Seconds without entries after which signals are no longer followed.
LINGER: Final = 0.5
#: Seconds for which signals are not followed, because some entries had none, or they can't be read.
DISTRUST: Final = 60.0
#: Signals of the other workers' partitions wake a reader too, so it must own this share of its topics.
LEAST_SHARE: Final = 0.25
#: The streams of a read after which a reader rests as long as after one that followed a signal.
RESTED_STREAMS: Final = MANY

_START: Final = b"0-0"


class ReadChoice(NamedTuple):
    """The streams to read next; none if there is nothing to read now.

    Attributes:
        blocks: Whether to wait for entries.
    """

    streams: Streams
    blocks: bool


class SignalFollower:
    """The state of one reader."""

    def __init__(self, keys: Keys, facts_of: Callable[[str], TopicFacts | None]) -> None:
        """Take a function that returns the declaration of a topic, ``None`` if it is not known."""
        self._keys = keys
        self._facts_of = facts_of
        self._streams: Streams = {}
        self._by_topic: dict[bytes, dict[bytes, bytes]] = {}  # signal stream → partition → stream
        self._last: dict[bytes, bytes] = {}  # signal stream → id of the last signal that was read
        self._is_busy = False
        self._found_at = self._full_at = self._distrusted_until = float("-inf")
        self._left: set[bytes] = set()  # streams that may have more entries than the last read took
        self._unsignalled: Set[bytes] = frozenset()

    async def choose(self, read: BlockingRead, streams: Streams) -> ReadChoice:
        """Return the streams to read next; wait for a signal, but not longer than until the next full read.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        if streams is not self._streams:
            self._begin(streams)
        now = monotonic()
        if now - self._found_at > LINGER:
            self._is_busy = False
        if not (self._by_topic and self._is_busy) or now < self._distrusted_until:
            self._last.clear()
            return ReadChoice(streams, blocks=True)
        try:
            return await self._follow(read, now)
        except ResponseError as error:
            if is_unavailable(error) and not isinstance(error, NoPermissionError):
                raise
            logger.warning("signals can't be read, so all partitions are: %s", error)
            self._distrust()
            return ReadChoice(streams, blocks=True)

    def note(self, choice: ReadChoice, found: Mapping[bytes, int], limit: int) -> None:
        """Take the number of entries of each stream that a read has brought, at most ``limit``."""
        now = monotonic()
        if found:
            self._is_busy = self._is_busy or now - self._found_at < BUSY_INTERVAL
            self._found_at = now
        if choice.blocks:
            return
        if choice.streams is self._streams:
            # A signal that was on its way comes before the next full read.
            self._unsignalled = found.keys() - self._left if self._full_at > 0 else frozenset()
            self._full_at = now
        self._left = {stream for stream, count in found.items() if count >= limit}

    def _begin(self, streams: Streams) -> None:
        """Take other streams, for which a full read is due, as signals for them may have been passed over."""
        self._streams = streams
        self._by_topic = {}
        self._require_full_read()
        if len(streams) <= MANY:
            return
        facts = {topic: self._facts_of(topic) for topic in {tp.topic for tp in streams.values()}}
        partitions = sum(each.partitions for each in facts.values() if each is not None)
        if len(streams) < LEAST_SHARE * partitions or not all(map(is_signalled, facts.values())):
            return
        for stream, tp in streams.items():
            signal = self._keys.signal(tp.topic).encode()
            self._by_topic.setdefault(signal, {})[b"%d" % tp.partition] = stream

    def _require_full_read(self) -> None:
        """Have all streams read next, whatever signals there were."""
        self._full_at = float("-inf")
        self._left.clear()
        self._unsignalled = frozenset()

    async def _follow(self, read: BlockingRead, now: float) -> ReadChoice:
        if self._last.keys() != self._by_topic.keys():
            self._last = {signal: await _end_of(read, signal) for signal in self._by_topic}
            self._require_full_read()
        wait = self._full_at + FULL_READ_INTERVAL - now
        if wait <= 0:
            if self._unsignalled:
                self._distrust()
                return ReadChoice(self._streams, blocks=True)
            return ReadChoice(self._streams, blocks=False)
        named = await self._wait_for_signals(read, wait)
        if monotonic() - now > 2 * FULL_READ_INTERVAL:
            # A worker that was frozen has to make sure of its membership before it reads.
            self._require_full_read()
            return ReadChoice({}, blocks=False)
        self._unsignalled -= named
        asked = named | self._left
        return ReadChoice({stream: self._streams[stream] for stream in asked}, blocks=False)

    async def _wait_for_signals(self, read: BlockingRead, seconds: float) -> Set[bytes]:
        """Return the streams of this reader that signals name; don't wait while more is to be read anyway."""
        limits = () if self._left else ("BLOCK", max(1, int(seconds * 1000)))
        reply = await read.block("XREAD", *limits, "STREAMS", *self._last, *self._last.values())
        named: set[bytes] = set()
        for signal, entries in reply or ():
            self._last[signal] = entries[-1][0]
            own = self._by_topic[signal]
            partitions = partitions_of(entries)
            if ALL in partitions:
                named.update(own.values())
            else:
                named.update(own[each] for each in partitions & own.keys())
        return named

    def _distrust(self) -> None:
        self._distrusted_until = monotonic() + DISTRUST
        self._unsignalled = frozenset()


async def _end_of(read: BlockingRead, signal: bytes) -> bytes:
    """Return the id of the last signal."""
    entries: list[Any] = await read.block("XREVRANGE", signal, "+", "-", "COUNT", 1)
    last: bytes = entries[0][0] if entries else _START
    return last
