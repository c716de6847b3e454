"""Find the event that kills its worker, and make it a dead letter instead of delivering it forever.

After a worker has died, any of its pending entries may be the reason, or none. Entries that stay pending
while owner after owner dies are *suspects*. The next owner delivers them one at a time, recording each first
in Redis. If that owner dies as well, ``take_over.lua`` adds a death to the recorded entry
only. Entries that were only read ahead, or pending while workers were killed from outside, are delivered one
after another and are done.

- A suspect that is not done after :data:`GRACE` seconds no longer holds up the others. If its owner dies
  later, the suspect is *strict* from then on: it is alone until it is done, however long it takes.
- A suspect waits for :data:`RESPITE` seconds, in which other events are done, or until the event that killed
  the workers is a dead letter.
- Suspects with the fewest deaths go first, and of those the oldest, so that innocent ones are done before a
  worker dies again: an event that kills its process at once is mostly the last that was begun.
- A death counts as an attempt, too. After the last one the entry is a dead letter.

None of this touches an entry that is delivered for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from faust.types import TP, Message
from mode import get_logger

from faust_redis.consuming.claims import Claim, fetch
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.errors import WorkerDiedError
from faust_redis.log.entries import Record, decode_all
from faust_redis.redis.scripts import MARK_SUSPECT, NOT_OWNER

__all__ = ["Suspects"]

logger = get_logger(__name__)

#: Deaths of owners after which a pending entry is a suspect. One death is an ordinary crash; to deliver one
#: entry at a time after each would hold up all that were pending.
ORDINARY_DEATHS: Final = 2
#: Seconds for which a suspect holds up the others. An event that kills its process mostly does so at once.
GRACE: Final = 0.5
#: Total seconds by which waiting suspects delay each other, and the minimum for one of them. Many
#: slow events would otherwise wait for each other for minutes.
TOTAL_GRACE: Final = 2.0
SHORTEST_GRACE: Final = 0.05
#: Seconds for which a suspect waits after it was claimed. Other events are done meanwhile, so that a worker
#: that dies again and again still gets something done.
RESPITE: Final = 0.4
#: Seconds between checks whether the current suspect is done.
POLL: Final = 0.01

#: States of a suspect in its mark; ``take_over.lua`` has one more, for those that wait.
STRICT, ALONE, RUNNING = "s", "a", "r"


@dataclass
class _Suspect:
    tp: TP
    claim: Claim
    is_strict: bool
    deaths: int
    claimed_at: float = field(default_factory=monotonic)
    begun_at: float | None = None
    message: Message | None = field(default=None, repr=False)
    sent_at: int | None = None  # ms since the epoch, None while it is not known

    def order(self) -> tuple[int, int, TP, int]:
        return self.deaths, self.sent_at or 0, self.tp, self.claim.offset


class Suspects:
    """The suspects among the entries of one worker."""

    def __init__(
        self,
        context: TransportContext,
        reader: PartitionReader,
        bury: Callable[[TP, Record, WorkerDiedError], None],
    ) -> None:
        """Take the reader that claims entries.

        Args:
            bury: Makes a dead letter of an entry that is pending here.
        """
        self._context = context
        self._reader = reader
        self._bury = bury
        take_overs = context.options.take_overs
        self._ordinary = min(ORDINARY_DEATHS, take_overs - 1)
        self._allowed = take_overs - self._ordinary
        self._waiting: dict[tuple[TP, int], _Suspect] = {}
        self._alone: _Suspect | None = None
        self._running: list[_Suspect] = []
        self._is_explained = False

    def sift(self, tp: TP, claims: list[Claim]) -> list[Claim]:
        """Keep the suspects among claimed entries for :meth:`due`, and return the others."""
        innocent: list[Claim] = []
        for claim in claims:
            if claim.deliveries - 1 < self._ordinary and not claim.mark:
                innocent.append(claim)
            elif (tp, claim.offset) not in self._waiting:
                state, deaths = claim.mark[:1], int(claim.mark[1:] or 0)
                suspect = _Suspect(tp, claim, state == STRICT, deaths)
                self._waiting[tp, claim.offset] = suspect
                self._reader.queues[tp].withheld.add(claim.offset)
        return innocent

    def forget(self, tps: Collection[TP] | None = None) -> None:
        """Forget the waiting events of these partitions, or all: their next owners claim them."""
        self._waiting = {
            place: suspect
            for place, suspect in self._waiting.items()
            if tps is not None and place[0] not in tps
        }
        self._is_explained = self._is_explained and bool(self._waiting)

    def pause(self, timeout: float) -> float:
        """Return ``timeout``, or less while there are suspects (seconds)."""
        return min(timeout, POLL) if self._waiting or self._alone or self._running else timeout

    async def due(self, active: set[TP]) -> dict[TP, list[Record]]:
        """Return the suspect to deliver next, unless one is being processed alone.

        Args:
            active: The partitions that are read.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        if not (self._waiting or self._alone or self._running):
            return {}
        await self._look_at_those_at_work()
        if self._alone is not None:
            return {}
        owned = [suspect for suspect in self._waiting.values() if suspect.tp in active]
        for suspect in [suspect for suspect in owned if suspect.deaths >= self._allowed]:
            await self._give_up(suspect)
            owned.remove(suspect)
        claimed_before = monotonic() - (0.0 if self._is_explained else RESPITE)
        ready = [suspect for suspect in owned if suspect.claimed_at <= claimed_before]
        if not ready:
            return {}
        await self._find_times(ready)
        suspect = min(ready, key=_Suspect.order)
        record = await self._begin(suspect)
        return {} if record is None else {suspect.tp: [record]}

    async def _look_at_those_at_work(self) -> None:
        for suspect in [suspect for suspect in self._running if self._is_done(suspect)]:
            await self._mark(suspect, "")
            self._running.remove(suspect)
        alone = self._alone
        if alone is None:
            return
        if self._is_done(alone):
            await self._mark(alone, "")
            self._alone = None
            return
        if alone.begun_at is None and alone.message is not None and alone.message.tracked:
            alone.begun_at = monotonic()
        waited = monotonic() - alone.begun_at if alone.begun_at is not None else 0.0
        grace = max(SHORTEST_GRACE, min(GRACE, TOTAL_GRACE / (1 + len(self._waiting))))
        if waited >= grace and not alone.is_strict:
            await self._mark(alone, RUNNING)
            self._running.append(alone)
            self._alone = None

    def _is_done(self, suspect: _Suspect) -> bool:
        """Return whether an agent has finished or failed the entry, or it is not this worker's any more."""
        queue = self._reader.queues.get(suspect.tp)
        message = queue.in_flight.get(suspect.claim.offset) if queue is not None else None
        if suspect.message is None:
            suspect.message = message
        return message is None or message is not suspect.message or message.acked

    async def _find_times(self, suspects: list[_Suspect]) -> None:
        """Read the timestamps of new suspects."""
        new: dict[TP, list[_Suspect]] = {}
        for suspect in suspects:
            if suspect.sent_at is None:
                new.setdefault(suspect.tp, []).append(suspect)
        for tp, group in new.items():
            entries, looked_at = await fetch(self._context, tp, [suspect.claim for suspect in group])
            records, _ = decode_all(entries)
            sent_at = {record.offset: record.timestamp for record in records}
            for suspect in group[:looked_at]:
                suspect.sent_at = sent_at.get(suspect.claim.offset, 0)

    def _take(self, suspect: _Suspect) -> None:
        """Take a suspect out of those that wait."""
        self._waiting.pop((suspect.tp, suspect.claim.offset), None)
        if suspect.tp in self._reader.queues:
            self._reader.queues[suspect.tp].withheld.discard(suspect.claim.offset)

    async def _give_up(self, suspect: _Suspect) -> None:
        """Make a suspect a dead letter."""
        record = await self._record(suspect)
        self._take(suspect)
        if record is not None:
            self._bury(suspect.tp, record, WorkerDiedError(suspect.claim.deliveries - 1))
            self._is_explained = True

    async def _begin(self, suspect: _Suspect) -> Record | None:
        """Record that a suspect is delivered and return it; None if another worker owns it now."""
        record = await self._record(suspect)
        owned = record is not None and await self._mark(suspect, ALONE)
        self._take(suspect)
        if not owned or record is None:
            return None
        logger.warning(
            "%s-%s offset %d was pending while %d workers died, it is delivered alone",
            *suspect.tp,
            record.offset,
            suspect.claim.deliveries - 1,
        )
        self._alone = suspect
        return record

    async def _record(self, suspect: _Suspect) -> Record | None:
        """Return the record of a suspect, None if it was deleted or can't be read."""
        entries, _ = await fetch(self._context, suspect.tp, [suspect.claim])
        records = self._reader.decode(suspect.tp, entries)
        return records[0]._replace(attempts=suspect.claim.attempts) if records else None

    async def _mark(self, suspect: _Suspect, state: str) -> bool:
        """Record how a suspect is handled; return whether its partition is this worker's."""
        tp, group = suspect.tp, self._reader.group
        keys = [self._context.keys.lease(tp, group), self._context.keys.suspects(tp, group)]
        mark = f"{state}{suspect.deaths}" if state else ""
        answer = await self._context.scripts.call(
            MARK_SUSPECT, keys, lease=self._reader.lease_of(tp), entry_id=suspect.claim.entry_id, mark=mark
        )
        return bool(answer != NOT_OWNER)
