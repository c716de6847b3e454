"""Append each message once: number a producer's messages, and build the calls with these numbers.

A connection may be cut after Redis has executed a call and before the reply has arrived. The message is sent
again with the same number, and ``append.lua`` returns the offset of the existing entry.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from faust.types import TP, Message, RecordMetadata

from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.commands import Command
from faust_redis.redis.scripts import APPEND

__all__ = ["Append", "Numbers", "OutgoingEntry", "SensorCallbacks", "Target", "group"]

#: Bytes of values after which a call ends, because Redis serves no other client while a script runs.
CALL_BYTES: Final = 1024 * 1024
#: Milliseconds for which a partition remembers an inactive producer, as on Kafka. A message that is
#: sent again later, after an outage, is added twice.
PRODUCER_KEPT: Final = 24 * 60 * 60 * 1000


class Target(NamedTuple):
    """The destination of entries.

    Attributes:
        keys: The keys of ``append.lua``.
        lease: The lease under which they are added; empty for none.
    """

    tp: TP
    keys: tuple[str, ...]
    lease: str = ""

    @classmethod
    def of(cls, keys: Keys, tp: TP, facts: TopicFacts, lease: str, group: str) -> Target:
        """Return the target for a compacted partition."""
        names = (keys.stream(tp), keys.producers(tp), keys.index(tp), keys.lease(tp, group))
        return cls(tp, names if facts.retention else (*names, keys.tombstones(tp)), lease)


#: The sensors called for a message, and the state that they get back with its outcome.
SensorCallbacks = tuple[Any, Any]


class OutgoingEntry(NamedTuple):
    """A message that waits to be sent, or to be confirmed.

    Attributes:
        number: Counts the messages of the producer.
        target: The partition.
        sequence: Counts the messages of the producer to this partition.
        fields: Names and values of the entry.
        source: The message that its agent was working on.
    """

    number: int
    target: Target
    sequence: int
    fields: list[bytes]
    confirmed: asyncio.Future[RecordMetadata]
    callbacks: SensorCallbacks | None
    source: Message | None = None


class Append(NamedTuple):
    """One call: entries of one partition, numbered without gaps, each with as many fields.

    Attributes:
        continues: Whether another call of the same batch, for the same partition, comes before it.
    """

    target: Target
    entries: list[OutgoingEntry]
    continues: bool

    def command(self, producer: str) -> Command:
        """Return the call of ``append.lua``."""
        first = self.entries[0]
        fields = chain.from_iterable([entry.fields for entry in self.entries])
        return APPEND.command(
            self.target.keys,
            *fields,
            producer=producer,
            sequence=first.sequence,
            continues=int(self.continues),
            kept_ms=PRODUCER_KEPT,
            lease=self.target.lease,
            size=len(first.fields),
        )

    def offsets(self, result: Any) -> Sequence[int]:
        """Return the offset of each entry from the reply."""
        if isinstance(result, int):
            return range(result, result + len(self.entries))
        offsets: list[int] = result
        return offsets


class Numbers:
    """Numbers the messages of one producer, per partition.

    Attributes:
        producer: Names the producer.
    """

    def __init__(self) -> None:
        self.producer = uuid.uuid4().hex
        self._given: Counter[TP] = Counter()

    def next(self, tp: TP) -> int:
        """Return the number of the next message to a partition, from 1."""
        self._given[tp] += 1
        return self._given[tp]


def group(batch: Iterable[OutgoingEntry], alone: Collection[int]) -> list[Append]:
    """Return the calls for a batch; those for one partition are in the order of its entries.

    Args:
        alone: Numbers of entries that get a separate call.
    """
    calls: list[Append] = []
    open_calls: dict[TP, tuple[Append, int]] = {}
    for entry in batch:
        target = entry.target
        fields = entry.fields
        size = len(fields[-1]) + (len(fields[3]) if len(fields) > 2 else 0)  # all fields that may be large
        known = open_calls.get(target.tp)
        if known is not None:
            call, filled = known
            last = call.entries[-1]
            if (
                call.target == target
                and last.sequence + 1 == entry.sequence
                and len(last.fields) == len(fields)
                and filled + size <= CALL_BYTES
                and not (alone and (entry.number in alone or last.number in alone))
            ):
                call.entries.append(entry)
                open_calls[target.tp] = call, filled + size
                continue
        call = Append(target, [entry], known is not None)
        calls.append(call)
        open_calls[target.tp] = call, size
    return calls
