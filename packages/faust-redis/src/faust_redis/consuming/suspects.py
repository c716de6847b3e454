"""Find the event that kills its worker, and make it a dead letter instead of delivering it forever.

After a worker has died, any of its pending entries may be the reason, or none. Its crash marker may name it
(``crash_marker``). If not, entries that stay pending while owner after owner dies are *suspects*. The next
owner delivers them one at a time, recording each first in Redis. If that owner dies as well while no other of
them is at work, ``take_over.lua`` adds a death to this entry only. Entries that were only read ahead, or
pending while workers were killed from outside, are delivered one after another and are done.

- A suspect that is not done after :data:`GRACE` seconds no longer holds up the others. If its owner dies
  while several are at work, they are *strict* from then on: each is delivered when no other is at work, and
  is alone until it is done, however long it takes. So is one that a death was added to.
- A suspect waits for :data:`RESPITE` seconds, in which other events are done, or until the event that killed
  the workers is a dead letter.
- Suspects with the fewest deaths go first, and of those the oldest, so that innocent ones are done before a
  worker dies again: an event that kills its process at once is mostly the last that was begun.
- A death counts as an attempt, too. After the last one the entry is a dead letter.
- With ``ordinary_deaths=1`` the two most likely entries are suspects after the first death. They wait for
  the others, which are therefore repeated once, and not again after the next death.

None of this touches an entry that is delivered for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from time import monotonic
from typing import Final

from faust.types import TP
from mode import get_logger

from faust_redis.consuming.claims import Claim, fetch
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.suspect import ALONE, RUNNING, STRICT, Suspect, likely_culprits
from faust_redis.context import TransportContext
from faust_redis.errors import WorkerDiedError
from faust_redis.log.entries import Record, decode_all
from faust_redis.redis.scripts import MARK_SUSPECT, NOT_OWNER

__all__ = ["Suspects"]

logger = get_logger(__name__)

#: Deaths of owners after which every pending entry is a suspect. One death is an ordinary crash; to deliver
#: one entry at a time after each would hold up all that were pending.
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
#: Seconds after which a likely culprit of a first death no longer waits for the others.
LONGEST_RESPITE: Final = 5.0
#: Seconds between checks whether the current suspect is done.
POLL: Final = 0.01


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
        options = context.options
        ordinary = min(options.ordinary_deaths, options.take_overs - 1)
        self._allowed = options.take_overs - ordinary
        #: Whether only the likely ones of a first death are suspects; the rest of them is beside.
        self._chooses = options.ordinary_deaths < ORDINARY_DEATHS
        self._deaths_of_suspects = ORDINARY_DEATHS if self._chooses else ordinary
        self._waiting: dict[tuple[TP, int], Suspect] = {}
        self._at_first_death: list[Suspect] = []
        self._beside: list[Suspect] = []
        self._to_deliver: list[Suspect] = []
        self._current: Suspect | None = None
        self._running: list[Suspect] = []
        self._is_explained = False

    def sift(self, tp: TP, claims: list[Claim], is_explained: bool) -> list[Claim]:
        """Keep the suspects among claimed entries for :meth:`due`, and return the others.

        Args:
            is_explained: Whether it is known which entry killed the last owner; it has a mark.
        """
        innocent: list[Claim] = []
        for claim in claims:
            deaths = claim.deliveries - 1
            if claim.mark or (deaths >= self._deaths_of_suspects and not is_explained):
                if (tp, claim.offset) not in self._waiting:
                    state, blamed = claim.mark[:1], int(claim.mark[1:] or 0)
                    self._wait(Suspect(tp, claim, state == STRICT, blamed))
            elif deaths and self._chooses and not is_explained:
                self._at_first_death.append(Suspect(tp, claim))
                self._reader.queues[tp].withheld.add(claim.offset)
            else:
                innocent.append(claim)
                if deaths:
                    self._beside.append(Suspect(tp, claim))
        return innocent

    def forget(self, tps: Collection[TP] | None = None) -> None:
        """Forget the waiting events of these partitions, or all: their next owners claim them."""

        def kept(suspects: Iterable[Suspect]) -> list[Suspect]:
            return [suspect for suspect in suspects if tps is not None and suspect.tp not in tps]

        self._waiting = {(each.tp, each.claim.offset): each for each in kept(self._waiting.values())}
        self._at_first_death = kept(self._at_first_death)
        self._to_deliver = kept(self._to_deliver)
        self._beside = kept(self._beside)
        self._is_explained = self._is_explained and bool(self._waiting)

    def pause(self, timeout: float) -> float:
        """Return ``timeout``, or less while there are suspects (seconds)."""
        return min(timeout, POLL) if self._is_busy else timeout

    @property
    def _is_busy(self) -> bool:
        return bool(
            self._waiting or self._at_first_death or self._to_deliver or self._current or self._running
        )

    async def due(self, active: set[TP]) -> dict[TP, list[Record]]:
        """Return the suspect to deliver next, unless one is being processed alone.

        Args:
            active: The partitions that are read.

        Raises:
            redis.exceptions.RedisError: Redis is away; may be called again.
        """
        if not self._is_busy:
            self._beside.clear()
            return {}
        await self._look_at_those_at_work()
        if self._at_first_death and not self._reader.is_claiming(active):
            self._choose()
        if self._to_deliver:
            return await self._deliver_beside()
        if self._current is not None:
            return {}
        owned = [suspect for suspect in self._waiting.values() if suspect.tp in active]
        for suspect in [suspect for suspect in owned if suspect.deaths >= self._allowed]:
            await self._give_up(suspect)
            owned.remove(suspect)
        ready = [suspect for suspect in owned if self._may_begin(suspect)]
        if not ready:
            return {}
        await self._find_times(ready)
        suspect = min(ready, key=Suspect.order)
        record = await self._begin(suspect)
        return {} if record is None else {suspect.tp: [record]}

    def _wait(self, suspect: Suspect) -> None:
        self._waiting[suspect.tp, suspect.claim.offset] = suspect
        self._reader.queues[suspect.tp].withheld.add(suspect.claim.offset)

    def _choose(self) -> None:
        """Decide which entries of a first death wait, now that all of them are claimed."""
        at_work = [each for each in self._at_first_death if each.tp in self._reader.queues]
        self._at_first_death.clear()
        is_known = any(suspect.deaths for suspect in self._waiting.values())
        likely = [] if is_known else likely_culprits(at_work)
        for suspect in likely:
            self._wait(suspect)
        self._to_deliver += [suspect for suspect in at_work if suspect not in likely]

    async def _deliver_beside(self) -> dict[TP, list[Record]]:
        """Return the records of entries that do not wait, a page of one partition at a time."""
        tp = self._to_deliver[0].tp
        page = [suspect for suspect in self._to_deliver if suspect.tp == tp]
        entries, done = await fetch(self._context, tp, [suspect.claim for suspect in page])
        attempts = {suspect.claim.offset: suspect.claim.attempts for suspect in page}
        for suspect in page[:done]:
            self._to_deliver.remove(suspect)
            self._beside.append(suspect)
            if tp in self._reader.queues:
                self._reader.queues[tp].withheld.discard(suspect.claim.offset)
        if tp not in self._reader.queues:
            return {}
        records = self._reader.decode(tp, entries)
        return {tp: [record._replace(attempts=attempts[record.offset]) for record in records]}

    def _may_begin(self, suspect: Suspect) -> bool:
        waited = monotonic() - suspect.claimed_at
        if waited < RESPITE and not self._is_explained:
            return False
        if suspect.is_strict:
            return not (self._running or self._beside)
        return not (self._chooses and self._beside) or waited >= LONGEST_RESPITE

    async def _look_at_those_at_work(self) -> None:
        self._beside = [suspect for suspect in self._beside if not self._is_done(suspect)]
        for suspect in [suspect for suspect in self._running if self._is_done(suspect)]:
            await self._mark(suspect, "")
            self._running.remove(suspect)
        current = self._current
        if current is not None and self._is_done(current):
            await self._mark(current, "")
            self._current = None
        elif current is not None:
            if current.begun_at is None and current.message is not None and current.message.tracked:
                current.begun_at = monotonic()
            waited = monotonic() - current.begun_at if current.begun_at is not None else 0.0
            grace = max(SHORTEST_GRACE, min(GRACE, TOTAL_GRACE / (1 + len(self._waiting))))
            if waited >= grace and not current.is_strict:
                self._running.append(current)
                self._current = None
        await self._mark_those_at_work()

    async def _mark_those_at_work(self) -> None:
        """Record which suspect is alone: a death is added to it alone."""
        at_work = [*self._running, *([self._current] if self._current is not None else [])]
        state = ALONE if len(at_work) == 1 and not self._beside else RUNNING
        for suspect in at_work:
            if suspect.state != state:
                await self._mark(suspect, state)
                suspect.state = state

    def _is_done(self, suspect: Suspect) -> bool:
        """Return whether an agent has finished or failed the entry, or it is not this worker's any more."""
        queue = self._reader.queues.get(suspect.tp)
        message = queue.in_flight.get(suspect.claim.offset) if queue is not None else None
        if suspect.message is None:
            suspect.message = message
        return message is None or message is not suspect.message or message.acked

    async def _find_times(self, suspects: list[Suspect]) -> None:
        """Read the timestamps of new suspects."""
        new: dict[TP, list[Suspect]] = {}
        for suspect in suspects:
            if suspect.sent_at is None:
                new.setdefault(suspect.tp, []).append(suspect)
        for tp, group in new.items():
            entries, looked_at = await fetch(self._context, tp, [suspect.claim for suspect in group])
            records, _ = decode_all(entries)
            sent_at = {record.offset: record.timestamp for record in records}
            for suspect in group[:looked_at]:
                suspect.sent_at = sent_at.get(suspect.claim.offset, 0)

    def _take(self, suspect: Suspect) -> None:
        """Take a suspect out of those that wait."""
        self._waiting.pop((suspect.tp, suspect.claim.offset), None)
        if suspect.tp in self._reader.queues:
            self._reader.queues[suspect.tp].withheld.discard(suspect.claim.offset)

    async def _give_up(self, suspect: Suspect) -> None:
        """Make a suspect a dead letter."""
        record = await self._record(suspect)
        self._take(suspect)
        if record is not None:
            self._bury(suspect.tp, record, WorkerDiedError(suspect.claim.deliveries - 1))
            self._is_explained = True

    async def _begin(self, suspect: Suspect) -> Record | None:
        """Record that a suspect is delivered and return it; None if another worker owns it now."""
        record = await self._record(suspect)
        for other in self._running:
            await self._mark(other, RUNNING)
            other.state = RUNNING
        suspect.state = RUNNING if self._running or self._beside else ALONE
        owned = record is not None and await self._mark(suspect, suspect.state)
        self._take(suspect)
        if not owned or record is None:
            return None
        logger.warning(
            "%s-%s offset %d was pending while %d workers died, it is delivered alone",
            *suspect.tp,
            record.offset,
            suspect.claim.deliveries - 1,
        )
        self._current = suspect
        return record

    async def _record(self, suspect: Suspect) -> Record | None:
        """Return the record of a suspect, None if it was deleted or can't be read."""
        entries, _ = await fetch(self._context, suspect.tp, [suspect.claim])
        records = self._reader.decode(suspect.tp, entries)
        return records[0]._replace(attempts=suspect.claim.attempts) if records else None

    async def _mark(self, suspect: Suspect, state: str) -> bool:
        """Record how a suspect is handled; return whether its partition is this worker's."""
        tp, group = suspect.tp, self._reader.group
        keys = [self._context.keys.lease(tp, group), self._context.keys.suspects(tp, group)]
        mark = f"{state}{suspect.deaths}" if state else ""
        answer = await self._context.scripts.call(
            MARK_SUSPECT, keys, lease=self._reader.lease_of(tp), entry_id=suspect.claim.entry_id, mark=mark
        )
        return bool(answer != NOT_OWNER)
