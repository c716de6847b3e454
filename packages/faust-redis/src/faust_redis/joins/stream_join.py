"""The join of two streams within a window.

Each event is written to a buffer, a table with a changelog, and acked once Redis has confirmed that. The
later event of a pair makes it. In a left, right or outer join, an event that finds no partner within its
window makes a result without one: the owner of its partition notices that the window is over, and sends a
notice to an internal topic of the join. Such a result is acked, repeated and handed over as any event is.

    ======================================  ====================================================
    crash, or a second delivery             outcome
    ======================================  ====================================================
    before the row is written               the event is delivered again and makes its pairs
    between two pairs of one event          ``Row.made`` identifies the pairs that are left
    after the row is written, before its    the event is delivered again, finds its row: no pair
    ack
    after a notice is sent, before the      the notice comes; another one finds no row
    result is done
    ======================================  ====================================================
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from faust.types import TP, AppT, ConsumerMessage, EventT
from mode import get_logger

from faust_redis.joins.buffer import JoinBuffer, PartitionRows
from faust_redis.joins.keys import JoinKeys
from faust_redis.joins.merging import Source
from faust_redis.joins.partitions import Partitions
from faust_redis.joins.progress import Progress
from faust_redis.joins.rows import NO_PAIR, Row, RowId, row_id, row_key
from faust_redis.joins.sides import JoinKind, Pair, Side, pair_of
from faust_redis.joins.windows import JoinWindow

__all__ = ["StreamJoin"]

logger = get_logger(__name__)

#: Seconds between checks for expired windows, if the window is longer than ten times this.
LOOK_INTERVAL: Final = 1.0
#: Seconds between such checks for a very short window.
SHORTEST_INTERVAL: Final = 0.1


class StreamJoin:
    """A join of two streams in one worker.

    Attributes:
        notices: The topic of events whose window is over without a partner; ``None`` for an inner join.
    """

    def __init__(
        self,
        app: AppT,
        name: str,
        kind: JoinKind,
        *,
        sources: tuple[Source, Source],
        window: JoinWindow,
        keys: JoinKeys,
        partitions: Partitions,
    ) -> None:
        """Make the table and the topic of a join; raises as :class:`JoinBuffer`."""
        self.app = app
        self.name = name
        self._kind = kind
        self._sources = sources
        self._window = window
        self._keys = keys
        self._partitions = partitions
        self._side_of = {topic: side for side in Side for topic in sources[side].topics}
        self._buffer = JoinBuffer(app, name, self._resolve_partitions)
        self._progress = Progress(partitions.done)
        self._latest: dict[tuple[Side, int], float] = {}
        self._noticed: set[RowId] = set()
        self._indexed: dict[int, PartitionRows] = {}
        self.notices: Any = None
        if kind is not JoinKind.INNER:
            self.notices = app.topic(
                f"{app.conf.id}-{name}-unmatched",
                key_type=bytes,
                value_type=bytes,
                key_serializer="raw",
                value_serializer="raw",
                internal=True,
            )

    async def _resolve_partitions(self) -> int:
        count = await self._partitions.agreed(self.name, self._side_of)
        if self.notices is not None:
            self.notices.partitions = count
        return count

    # -- events -------------------------------------------------------------------------------------------

    async def pairs(self, event: EventT[Any], value: Any) -> AsyncGenerator[Pair, None]:
        """Yield the pairs of an event; its row is updated as the agent asks for more.

        Args:
            value: The event's value after the stream's processors.

        Raises:
            JoinError: The event is in another partition than the events that have its key.
        """
        side = self._side_of.get(event.message.topic)
        made = self._unmatched(event) if side is None else self._matched(side, event, value)
        async with aclosing(made):
            async for pair in made:
                yield pair

    async def _matched(self, side: Side, event: EventT[Any], value: Any) -> AsyncGenerator[Pair, None]:
        message = event.message
        channel = self._sources[side].channel
        place = side, message.partition
        self._latest[place] = max(self._latest.get(place, 0.0), message.timestamp)
        key = self._keys.serialized(side, channel, event, value)
        if key is None:
            if self._kind.keeps(side):
                yield pair_of(side, value, None)
            return
        rows = self._buffer.partitions[message.partition]
        row = rows.get(RowId(message.partition, message.topic, message.offset))
        is_new = row is None
        if row is None:
            raw = message.value if value is event.value else channel.prepare_value(value, None)[0]
            row = _new_row(side, message, rows.next_number(), key, raw)
        partners = [other for other in rows.partners(row) if self._holds(row, other)]
        for other in partners:
            yield pair_of(side, value, await self._load(other))
            if self._buffer.partitions.get(message.partition) is not rows:
                return  # the partition was reassigned, and the event with it
            if self._partitions.has_failed(message):
                return  # the event is delivered again, and goes on with this pair
            self._note_match(other)
            row.is_matched = True
            row.made = row.number if other is partners[-1] else other.number
            self._buffer.put(row)
        if not partners and (is_new or row.is_open):
            row.made = row.number
            self._buffer.put(row)

    def _holds(self, row: Row, other: Row) -> bool:
        left, right = (row, other) if row.side is Side.LEFT else (other, row)
        return self._window.holds(left.timestamp, right.timestamp)

    def _note_match(self, row: Row) -> None:
        is_noted = row.is_matched
        row.is_matched = True
        # Exactly once: the pair depends on the row, so that both are dropped if the row's event fails.
        is_wanted = self._partitions.are_exact or (self._kind.keeps(row.side) and not is_noted)
        if is_wanted and self._buffer.holds(row):
            self._buffer.put(row)

    async def _load(self, row: Row) -> Any:
        """Return the value of a buffered event, as its topic decodes it."""
        if row.value is None:
            return None
        schema = self._sources[row.side].channel.schema
        message = ConsumerMessage(
            row.id.topic, row.id.partition, row.id.offset, row.timestamp, 0, [], None, row.value, None
        )
        return schema.loads_value(self.app, message)

    async def _unmatched(self, event: EventT[Any]) -> AsyncGenerator[Pair, None]:
        """Yield the result of an event whose window is over, unless a partner has come or it is done."""
        noticed = row_id(event.message.key or b"")
        rows = self._buffer.partitions[noticed.partition]
        row = rows.get(noticed)
        if row is None or row.is_matched:
            return
        if self._partitions.is_last_attempt(event.message):
            # The notice becomes a dead letter if this fails, and must not be followed by another one.
            self._buffer.remove(row)
        yield pair_of(row.side, await self._load(row), None)
        is_owned = self._buffer.partitions.get(noticed.partition) is rows
        if is_owned and not self._partitions.has_failed(event.message):
            self._buffer.remove(row)

    # -- windows that are over ----------------------------------------------------------------------------

    async def watch(self) -> None:
        """Remove rows whose window is over, and send notices for those without a partner, until cancelled."""
        shortest = min(self._window.patience(side) for side in Side)
        interval = min(LOOK_INTERVAL, max(SHORTEST_INTERVAL, shortest / 10))
        while True:
            await asyncio.sleep(interval)
            if self.app.rebalancing or not self.app.flow_control.is_active():
                continue
            try:
                await self._expire()
            except Exception:
                logger.exception("join %s: the check for expired windows failed, trying again", self.name)

    async def _expire(self) -> None:
        self._forget_moved()
        now = time.time()
        due = {
            number: found
            for number, rows in self._indexed.items()
            if (found := [*self._passed_by_time(number, rows), *self._passed_by_clock(rows, now)])
        }
        if due:
            await self._progress.update(self._partitions.tps(self._side_of, due))
        for number, found in due.items():
            for row, passed in found:
                if self._buffer.partitions.get(number) is not self._indexed[number]:
                    break  # reassigned in the meantime
                if self._buffer.holds(row) and row.id not in self._noticed and self._is_over(row, passed):
                    await self._close(row)

    def _passed_by_time(self, number: int, rows: PartitionRows) -> list[tuple[Row, bool]]:
        """Return the rows that the latest event of the other side has left behind."""
        found: list[Row] = []
        for side in Side:
            latest = self._latest.get((side.other, number))
            if latest is not None:
                found += rows.older_than(side, self._window.over_before(side, latest))
        return [(row, True) for row in found if row.id not in self._noticed]

    def _passed_by_clock(self, rows: PartitionRows, now: float) -> list[tuple[Row, bool]]:
        """Return the rows that have waited for as long as their window."""
        found = [row for side in Side for row in rows.arrived_before(side, now - self._window.patience(side))]
        return [(row, False) for row in found if row.id not in self._noticed]

    def _forget_moved(self) -> None:
        """Forget the state of reassigned partitions."""
        before, self._indexed = self._indexed, dict(self._buffer.partitions)
        if any(self._indexed.get(number) is not rows for number, rows in before.items()):
            self._progress.forget()
            self._noticed.clear()
            self._latest.clear()

    def _is_over(self, row: Row, passed: bool) -> bool:
        may_come_again = row.is_open or self._partitions.are_exact
        if may_come_again and not self._progress.is_done(TP(row.id.topic, row.id.partition), row.id.offset):
            return False  # its event is delivered again, and would make its pairs a second time
        others = [TP(topic, row.id.partition) for topic in self._sources[row.side.other].topics]
        return passed or row.arrived + self._window.patience(row.side) <= self._progress.passed(others)

    async def _close(self, row: Row) -> None:
        if row.is_matched or not self._kind.keeps(row.side):
            self._buffer.expire(row)
            return
        await self.notices.send(key=row_key(row.id), value=b"", partition=row.id.partition)
        self._noticed.add(row.id)


def _new_row(side: Side, message: Any, number: int, key: bytes, value: bytes | None) -> Row:
    return Row(
        id=RowId(message.partition, message.topic, message.offset),
        side=side,
        number=number,
        timestamp=message.timestamp,
        arrived=time.time(),
        made=NO_PAIR,
        is_matched=False,
        key=key,
        value=value,
    )
