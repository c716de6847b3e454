"""Append each message once: number a producer's messages, and build the calls with these numbers.

A connection may be cut after Redis has executed a call and before the reply has arrived. The message is sent
again with the same number, and ``append.lua`` returns the offset of the existing entry.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from time import monotonic
from typing import Any, Final, NamedTuple

from faust.types import TP, Message, RecordMetadata

from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.commands import Command
from faust_redis.redis.scripts import APPEND, APPEND_MANY, results_of_each

__all__ = [
    "OUT_OF_ORDER",
    "Append",
    "Destination",
    "OutgoingEntry",
    "SensorCallbacks",
    "Target",
    "command_for",
    "group",
    "pages",
    "results_of",
]

#: The beginning of ``append.lua``'s error for entries whose predecessors are missing.
OUT_OF_ORDER: Final = "OUTOFORDER"
#: Bytes of values after which a call ends, because Redis serves no other client while a script runs.
CALL_BYTES: Final = 1024 * 1024
#: The keys of a partition that is not compacted.
PLAIN_KEYS: Final = 2
#: Milliseconds for which a partition remembers an inactive producer, as on Kafka. A message that is
#: sent again later, after an outage, is added twice.
PRODUCER_KEPT: Final = 24 * 60 * 60 * 1000
#: Seconds for which a partition surely remembers a producer that adds nothing: less than ``PRODUCER_KEPT``.
REMEMBERED_SECONDS: Final = 20 * 60 * 60.0


class Destination:
    """A partition that one producer sends to.

    Attributes:
        sent: How many messages the producer has sent to it; each has that number as its sequence.
        confirmed: The sequence of the last message that Redis has confirmed; 0 for none.
        offset: The offset of that message.
        forgotten: The sequence of the last message that can't be sent again if Redis loses it.
        limit: Maximum entries of a call, of which there is one at a time, while the one is looked for that
            Redis refuses; 0 for no limit.
    """

    __slots__ = ("_confirmed_at", "confirmed", "forgotten", "limit", "offset", "sent", "target", "tp")

    def __init__(self, tp: TP, keys: Keys) -> None:
        self.tp = tp
        self.sent = 0
        self.confirmed = self.offset = self.forgotten = self.limit = 0
        self._confirmed_at = 0.0
        self.target = Target(self, (keys.stream(tp), keys.producers(tp)))

    def confirm(self, sequence: int, offset: int) -> None:
        """Note the last message that Redis has confirmed."""
        self.confirmed, self.offset, self._confirmed_at = sequence, offset, monotonic()

    @property
    def recorded(self) -> int:
        """The sequence that Redis must have a record of; 0 for none."""
        if self.confirmed and monotonic() - self._confirmed_at > REMEMBERED_SECONDS:
            return 0
        return self.confirmed

    def compacted_target(self, keys: Keys, facts: TopicFacts, lease: str, group: str) -> Target:
        """Return the target for a compacted partition."""
        tp = self.tp
        names = (*self.target.keys, keys.index(tp), keys.lease(tp, group))
        return Target(self, names if facts.retention else (*names, keys.tombstones(tp)), lease)


class Target(NamedTuple):
    """How entries are added to a partition.

    Attributes:
        keys: The keys of ``append.lua``.
        lease: The lease under which they are added; empty for none.
    """

    destination: Destination
    keys: tuple[str, ...]
    lease: str = ""


#: The sensors called for a message, and the state that they get back with its outcome.
SensorCallbacks = tuple[Any, Any]


class OutgoingEntry(NamedTuple):
    """A message that waits to be sent, or to be confirmed.

    Attributes:
        number: Counts the messages of the producer.
        target: Where it goes.
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
        before: The last entry of the call of the same batch, for the same partition, that comes before it.
    """

    target: Target
    entries: list[OutgoingEntry]
    before: OutgoingEntry | None

    def command(self, producer: str) -> Command:
        """Return the call of ``append.lua``."""
        return APPEND.command(
            self.target.keys,
            *self.values,
            producer=producer,
            sequence=self.entries[0].sequence,
            previous=self.previous,
            continues=int(self.before is not None),
            kept_ms=PRODUCER_KEPT,
            lease=self.target.lease,
            size=len(self.entries[0].fields),
        )

    @property
    def previous(self) -> int:
        """The sequence of the entry that must have been added before; 0 for none."""
        return self.target.destination.recorded if self.before is None else self.before.sequence

    @property
    def values(self) -> list[bytes]:
        """The fields and values of all entries."""
        return list(chain.from_iterable([entry.fields for entry in self.entries]))

    def offsets(self, result: Any) -> Sequence[int]:
        """Return the offset of each entry from the reply."""
        if isinstance(result, int):
            return range(result, result + len(self.entries))
        offsets: list[int] = result
        return offsets


def pages(appends: Sequence[Append], *, together: bool) -> list[list[Append]]:
    """Divide appends into those that one call makes, in their order.

    Args:
        together: Whether one call may make several; those of compacted partitions are alone in any case.
    """
    found: list[list[Append]] = []
    filled = CALL_BYTES
    for append in appends:
        is_plain = len(append.target.keys) == PLAIN_KEYS
        size = sum(map(len, append.values)) if together and is_plain else CALL_BYTES
        if filled + size > CALL_BYTES:
            found.append([])
            filled = 0
        found[-1].append(append)
        filled += size
    return found


def command_for(page: Sequence[Append], producer: str) -> Command:
    """Return the command that makes some appends; it returns a list of results if they are several."""
    if len(page) == 1:
        return page[0].command(producer)
    keys: list[str] = []
    values: list[bytes | int] = []
    for append in page:
        first, fields = append.entries[0], append.values
        keys += append.target.keys
        continues = int(append.before is not None)
        values += (first.sequence, append.previous, continues, len(first.fields), len(fields))
        values += fields
    return APPEND_MANY.command(keys, *values, producer=producer, kept_ms=PRODUCER_KEPT)


def results_of(parts: Sequence[Sequence[Append]], replies: Sequence[Any]) -> list[Any]:
    """Return the result or the error of each append, from the replies to :func:`command_for`."""
    lists = [[reply] if len(part) == 1 else reply for part, reply in zip(parts, replies, strict=True)]
    return results_of_each(parts, lists)


def group(batch: Iterable[OutgoingEntry]) -> tuple[list[Append], list[OutgoingEntry]]:
    """Return the calls for a batch; those for one partition are in the order of its entries.

    Returns:
        The calls, and the entries that have to wait for them, because their partition has a ``limit``.
    """
    by_destination: defaultdict[Destination, list[OutgoingEntry]] = defaultdict(list)
    for entry in batch:
        by_destination[entry.target.destination].append(entry)
    calls: list[Append] = []
    waiting: list[OutgoingEntry] = []
    for destination, entries in by_destination.items():
        if destination.limit:
            first = _calls(entries[: destination.limit])[0]
            calls.append(first)
            waiting += entries[len(first.entries) :]
        else:
            calls += _calls(entries)
    return calls, waiting


def _calls(entries: list[OutgoingEntry]) -> list[Append]:
    """Return the calls for entries of one partition."""
    calls: list[Append] = []
    together: list[OutgoingEntry] = []
    filled = 0
    before: OutgoingEntry | None = None
    for entry in entries:
        fields = entry.fields
        size = len(fields[-1]) + (len(fields[3]) if len(fields) > 2 else 0)  # all fields that may be large
        if (
            before is None
            or before.target != entry.target
            or before.sequence + 1 != entry.sequence
            or len(before.fields) != len(fields)
            or filled + size > CALL_BYTES
        ):
            together, filled = [], 0
            calls.append(Append(entry.target, together, before))
        together.append(entry)
        filled += size
        before = entry
    return calls
