"""Exactly once: an event's ack, its outputs and its changes of tables are one step in Redis.

The outputs wait in a transaction (:mod:`faust_redis.log.transactions`) until their event is done, and go to
Redis together with its ack, under the lease of its partition (``commit.lua``). When the answer is lost, the
call is repeated: an event that is acked already adds nothing. An event that fails leaves nothing in Redis; the
keys of tables that it has changed here are read again from their changelogs, which hold what was committed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Final, Protocol

from faust.exceptions import ProducerSendError
from faust.types import TP, AppT, ConsumerMessage, Message
from mode import get_logger

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.commit_calls import CommitCall, calls_for
from faust_redis.consuming.delivery import message_of
from faust_redis.consuming.offsets import Persist
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.errors import UnsupportedSettingError
from faust_redis.faust_hooks import tables
from faust_redis.log.entries import Record, decode_all
from faust_redis.log.transactions import TableKey, Transaction, Transactions
from faust_redis.redis.commands import Command, is_unavailable
from faust_redis.redis.scripts import NOT_OWNER

__all__ = ["COMMIT_LINGER", "ExactlyOnce"]

logger = get_logger(__name__)

#: Seconds for which finished events gather before they are committed, where each counts exactly once. Less
#: costs more per event; more is added to the latency of each hop.
COMMIT_LINGER: Final = 0.005

_Taken = Mapping[TP, set[int]]
_Place = tuple[TP, int]


class _Attempts(Protocol):
    def fail(self, message: Message, error: BaseException) -> None:
        """Count a failed attempt."""


class ExactlyOnce:
    """Commits and drops the transactions of one worker."""

    def __init__(
        self,
        app: AppT,
        context: TransportContext,
        transactions: Transactions,
        reader: PartitionReader,
        acks: AckLog,
        attempts: _Attempts,
        *,
        ack: Callable[[Mapping[TP, Collection[int]]], Awaitable[dict[TP, int]]],
        persist: Persist,
    ) -> None:
        """Take what the consumer consists of.

        Args:
            ack: Acks events that have no outputs.
        """
        self._app = app
        self._context = context
        self._transactions = transactions
        self._reader = reader
        self._acks = acks
        self._attempts = attempts
        self._ack = ack
        self._persist = persist
        self._restoring: asyncio.Task[None] | None = None
        self._void: set[_Place] = set()
        self._dead: set[_Place] = set()
        self._is_disrupted = False
        # The value that a key is restored to must not change in Redis meanwhile.
        self._changing = asyncio.Lock()
        transactions.is_in_flight = reader.is_in_flight
        transactions.on_dirty = self._restore_soon

    def check_tables(self) -> None:
        """Refuse tables whose changes can't be taken back.

        Raises:
            UnsupportedSettingError: The app has a table of sets.
        """
        for table in self._app.tables.values():
            if tables.is_of_objects(table):
                reason = f"table {table.name} holds sets, which it does not support; use a Table"
                raise UnsupportedSettingError("processing_guarantee", "exactly_once", reason)

    # -- committing ---------------------------------------------------------------------------------------

    async def commit(self, taken: _Taken) -> dict[TP, int]:
        """Commit finished events; return the last offset of each partition plus one.

        An event that depends on one that is not finished is committed with that one.

        Args:
            taken: The acks; those that count no longer are removed.

        Raises:
            redis.exceptions.RedisError: Redis is away; committing again does no harm.
        """
        async with self._changing:
            return await self._commit(taken)

    async def _commit(self, taken: _Taken) -> dict[TP, int]:
        plain, finished = self._sorted(taken)
        ready = self._transactions.committable([each for each in finished if _is_whole(each, taken)])
        chosen = {id(each) for each in ready}
        for each in finished:
            if id(each) not in chosen:
                done = [message for message in each.messages if message.offset in taken.get(message.tp, ())]
                self._acks.restore(_offsets_of(done))
        for each in ready:
            each.is_sealed = True
        self._is_disrupted = False
        committed: Counter[TP] = Counter()
        for call in calls_for(ready):
            committed |= Counter(await self._commit_call(call))
        # Last, because an event without outputs may have found out from a table that it has nothing to do.
        if self._is_disrupted:
            self._redeliver(message for message in plain.values() if message is not None)
        else:
            committed |= Counter(await self._ack(_offsets(plain)))
        return dict(committed)

    def _sorted(self, taken: _Taken) -> tuple[dict[_Place, Message | None], list[Transaction]]:
        """Return the acked messages without outputs by their places, and the transactions of the others.

        Acks of messages that were dropped since are removed: their entries are delivered again.
        """
        plain: dict[_Place, Message | None] = {}
        finished: dict[int, Transaction] = {}
        for tp, offsets in taken.items():
            queue = self._reader.queues.get(tp)
            for offset in list(offsets):
                message = queue.in_flight.get(offset) if queue is not None else None
                is_dead = (tp, offset) in self._dead
                self._dead.discard((tp, offset))
                if (tp, offset) in self._void or not (is_dead or (message is not None and message.acked)):
                    self._void.discard((tp, offset))
                    offsets.discard(offset)
                    continue
                transaction = self._transactions.open.get(message) if message is not None else None
                if transaction is None:
                    plain[tp, offset] = message
                elif not transaction.outputs and _is_whole(transaction, taken):
                    self._transactions.close(transaction)
                    plain[tp, offset] = message
                else:
                    finished[id(transaction)] = transaction
        return plain, list(finished.values())

    async def _commit_call(self, call: CommitCall) -> dict[TP, int]:
        going = [each for each in call.transactions if each.outputs]  # the others were dropped meanwhile
        if not going:
            return {}
        command = await CommitCall(going).command(self._context, self._reader.group, self._reader.lease)
        (reply,) = await self._context.scripts.run("commit", [command], self._context.server.stream)
        if not isinstance(reply, Exception):
            return self._committed(going, reply)
        if is_unavailable(reply):
            raise reply
        # Those before the one that is refused are committed.
        smaller = calls_for(going, most=0)
        if len(smaller) == 1:
            self._refuse(going, reply)
            return {}
        committed: Counter[TP] = Counter()
        for each in smaller:
            committed |= Counter(await self._commit_call(each))
        return committed

    def _committed(self, transactions: Iterable[Transaction], results: Iterable[int]) -> dict[TP, int]:
        committed: dict[TP, int] = {}
        for each, result in zip(transactions, results, strict=True):
            if result == NOT_OWNER:
                self._lose(each)
                continue
            self._transactions.close(each)
            for message in each.messages:
                tp, offset = message.tp, message.offset
                committed[tp] = max(offset + 1, committed.get(tp, 0))
                if tp in self._reader.queues:
                    self._reader.queues[tp].finish(offset)
        return committed

    def _refuse(self, transactions: Iterable[Transaction], reason: Exception) -> None:
        """Count a failed attempt of events whose outputs Redis refuses; others not committed come again."""
        self._is_disrupted = True
        error = ProducerSendError(str(reason))
        logger.error("an event's outputs are refused: %s", error)
        messages = [message for each in transactions for message in each.messages]
        self.drop(messages)
        self._redeliver(list(self._transactions.open))
        for message in messages:
            self._attempts.fail(message, error)

    def _lose(self, transaction: Transaction) -> None:
        """Give up events whose partition has another owner, or whose lease is gone."""
        self._is_disrupted = True
        tps = {message.tp for message in transaction.messages}
        logger.warning("%s: a commit was refused, the lease has another owner or is gone", tps)
        self._redeliver(transaction.messages)

    # -- dropping -----------------------------------------------------------------------------------------

    def drop(self, messages: Iterable[Message]) -> None:
        """Drop what messages have sent and changed; events that depend on them are delivered again."""
        self._deliver_again(self._transactions.drop(messages))

    def drop_one(self, message: Message) -> None:
        """Drop what a message has sent and changed, as :meth:`drop`."""
        self.drop((message,))

    async def drop_all(self) -> None:
        """Drop all that is not committed, before the partitions are shared out: their owners claim it."""
        for partition in self._reader.queues.values():
            self._transactions.drop(list(partition.in_flight.values()))
            partition.forfeit()
        self._acks.clear()
        self._void.clear()
        await self.restored()

    def _redeliver(self, messages: Iterable[Message]) -> None:
        going = list(messages)
        self.drop(going)
        self._deliver_again(going)

    def note_dead(self, tp: TP, offset: int) -> None:
        """Note that an entry is a dead letter; the ack that follows only has its partition trimmed."""
        self._dead.add((tp, offset))

    def _deliver_again(self, messages: Iterable[Message]) -> None:
        for message in messages:
            queue = self._reader.queues.get(message.tp)
            if not self._acks.take_back(message) and message.acked:
                self._void.add((message.tp, message.offset))  # a commit under way has taken it
            if queue is not None and queue.in_flight.get(message.offset) is message:
                queue.finish(message.offset)
            self._reader.rewind(message.tp)

    # -- tables -------------------------------------------------------------------------------------------

    @property
    def is_restoring(self) -> bool:
        """Whether tables hold changes of events that were dropped."""
        return bool(self._transactions.dirty)

    def _restore_soon(self) -> None:
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.create_task(self._restore())
            self._restoring.add_done_callback(_log_error)

    async def restored(self) -> None:
        """Wait until tables hold nothing of events that were dropped, or the worker stops."""
        while self._restoring is not None and not self._restoring.done() and not self._app.should_stop:
            await asyncio.wait([self._restoring], timeout=0.5)

    async def _restore(self) -> None:
        while self._transactions.dirty and not self._app.should_stop:
            async with self._changing:
                keys = list(self._transactions.dirty)
                records = await self._persist(lambda keys=keys: self._read(keys))  # type: ignore[misc]
                for key, record in zip(keys, records, strict=True):
                    late, output = self._transactions.clean(key)
                    self._deliver_again(late)
                    if output is not None:
                        ((record, *_), _) = decode_all([(b"0-1", output.fields)])
                    event = await self._event_of(key, record)
                    tables.restore_key(self._table(key[0]), event, key[0].partition)

    async def _read(self, keys: list[TableKey]) -> list[Record | None]:
        """Return the last committed entry of each key; ``None`` for one that has none."""
        run = self._context.server.stream.execute_many
        names = self._context.keys
        ids = _raised(await run([("HGET", names.index(tp), key) for tp, key in keys]))
        calls: list[Command] = [
            ("XRANGE", names.stream(tp), entry_id or "-", entry_id or "(0-1", "COUNT", 1)
            for (tp, _), entry_id in zip(keys, ids, strict=True)
        ]
        records: list[Record | None] = []
        for entry_id, entries in zip(ids, _raised(await run(calls)), strict=True):
            found = decode_all(entries)[0] if entry_id else []
            records.append(found[0] if found else None)
        return records

    async def _event_of(self, key: TableKey, record: Record | None) -> Any:
        tp, raw = key
        message: ConsumerMessage = message_of(tp, record or Record(0, raw, None, [], 0), 0)
        return await self._table(tp).changelog_topic.decode(message)

    def _table(self, tp: TP) -> Any:
        return tables.tables_by_changelog(self._app.tables)[tp.topic]


def _is_whole(transaction: Transaction, taken: _Taken) -> bool:
    return all(message.offset in taken.get(message.tp, ()) for message in transaction.messages)


def _offsets_of(messages: Iterable[Message]) -> dict[TP, list[int]]:
    return _offsets((message.tp, message.offset) for message in messages)


def _offsets(places: Iterable[_Place]) -> dict[TP, list[int]]:
    offsets: defaultdict[TP, list[int]] = defaultdict(list)
    for tp, offset in places:
        offsets[tp].append(offset)
    return offsets


def _raised(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("restoring tables failed: %r", error, exc_info=error)
