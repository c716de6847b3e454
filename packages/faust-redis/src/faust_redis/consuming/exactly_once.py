"""Exactly once: an event's ack, its outputs and its changes of tables are one step in Redis.

The outputs wait in a transaction (:mod:`faust_redis.log.transactions`) until their event is done, and go to
Redis together with its ack, under the lease of its partition (``commit.lua``). If the reply is lost, the
call is repeated: an event that is acked already adds nothing. An event that fails leaves nothing in Redis,
and its changes of tables are taken back (:mod:`faust_redis.consuming.table_rollback`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from faust.exceptions import ProducerSendError
from faust.types import TP, AppT, Message
from mode import get_logger

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.commit_calls import CommitCall, calls_for
from faust_redis.consuming.offsets import Persist
from faust_redis.consuming.output_topics import OutputTopics
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.table_rollback import TableRollback
from faust_redis.context import TransportContext
from faust_redis.errors import UnsupportedSettingError
from faust_redis.faust_hooks import tables
from faust_redis.log.transactions import Transaction, Transactions
from faust_redis.redis.commands import is_unavailable
from faust_redis.redis.scripts import COMMIT, NOT_OWNER

__all__ = ["ExactlyOnce", "exactly_once_of"]

logger = get_logger(__name__)

#: Seconds for which finished events are collected before they are committed exactly once. Less
#: costs more per event; more is added to the latency of each hop.
COMMIT_LINGER: Final = 0.005
#: Seconds between attempts while nothing can be committed: Redis is unavailable, or events wait for others.
RETRY_DELAY: Final = 0.05

_Taken = Mapping[TP, set[int]]
_Place = tuple[TP, int]


class _Attempts(Protocol):
    def fail(self, message: Message, error: BaseException) -> None:
        """Count a failed attempt."""


class ExactlyOnce:
    """Commits and drops the transactions of one worker.

    Attributes:
        tables: Undoes the changes of dropped events.
        committing: Returns the acks that a commit under way has taken.
    """

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
        self._dead: set[_Place] = set()
        self._output_topics = OutputTopics(context, reader.group)
        self._is_disrupted = False
        self.committing: Callable[[], _Taken] = dict
        transactions.is_in_flight = reader.is_in_flight
        self.tables = TableRollback(
            app, context, transactions, deliver_again=self._deliver_again, persist=persist
        )

    def check_tables(self) -> None:
        """Refuse tables whose changes can't be undone.

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
            taken: The acks; those that are no longer valid are removed.

        Raises:
            redis.exceptions.RedisError: Redis is away; committing again does no harm.
        """
        async with self.tables.lock:
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
                if not (is_dead or (message is not None and message.acked)):
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
        (reply,) = await self._context.scripts.run(COMMIT, [command], self._context.server.stream)
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
            self._output_topics.note(output.topic for output in each.outputs)
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
        """Drop the outputs and table changes of messages; events that depend on them are delivered again."""
        self._deliver_again(self._transactions.drop(messages))

    def drop_one(self, message: Message) -> None:
        """Drop the outputs and table changes of one message, as :meth:`drop` does."""
        self.drop((message,))

    async def drop_all(self) -> None:
        """Drop everything uncommitted before a rebalance: the next owners claim the entries."""
        for partition in self._reader.queues.values():
            self._transactions.drop(list(partition.in_flight.values()))
            partition.forfeit()
        self._acks.clear()
        await self.tables.restored()

    def _redeliver(self, messages: Iterable[Message]) -> None:
        going = list(messages)
        self.drop(going)
        self._deliver_again(going)

    async def keep_committing(
        self, commit: Callable[[], Awaitable[bool]], is_stopping: Callable[[], bool]
    ) -> None:
        """Commit finished events soon, because their outputs are invisible until then."""
        while not is_stopping():
            if not self._acks.partitions():
                await self._acks.wait_for_ack(timeout=1)
                continue
            await asyncio.sleep(COMMIT_LINGER)
            if not await commit():
                await asyncio.sleep(RETRY_DELAY)
            await self._output_topics.record()

    def note_dead(self, tp: TP, offset: int) -> None:
        """Note that an entry is a dead letter; the following ack only trims its partition."""
        self._dead.add((tp, offset))

    def _deliver_again(self, messages: Iterable[Message]) -> None:
        for message in messages:
            queue = self._reader.queues.get(message.tp)
            if not self._acks.take_back(message) and message.acked:
                self.committing().get(message.tp, set()).discard(message.offset)
            if queue is not None and queue.in_flight.get(message.offset) is message:
                queue.finish(message.offset)
            self._reader.rewind(message.tp)


def exactly_once_of(
    app: AppT,
    context: TransportContext,
    reader: PartitionReader,
    acks: AckLog,
    attempts: _Attempts,
    *,
    ack: Callable[[Mapping[TP, Collection[int]]], Awaitable[dict[TP, int]]],
    persist: Persist,
) -> ExactlyOnce | None:
    """Return the committer of an app's transactions; ``None`` unless events count exactly once."""
    if context.transactions is None:
        return None
    return ExactlyOnce(app, context, context.transactions, reader, acks, attempts, ack=ack, persist=persist)


def _is_whole(transaction: Transaction, taken: _Taken) -> bool:
    return all(message.offset in taken.get(message.tp, ()) for message in transaction.messages)


def _offsets_of(messages: Iterable[Message]) -> dict[TP, list[int]]:
    return _offsets((message.tp, message.offset) for message in messages)


def _offsets(places: Iterable[_Place]) -> dict[TP, list[int]]:
    offsets: defaultdict[TP, list[int]] = defaultdict(list)
    for tp, offset in places:
        offsets[tp].append(offset)
    return offsets
