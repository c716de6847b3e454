"""The outputs of events that are not committed yet, for ``processing_guarantee="exactly_once"``.

Each event has a transaction: the messages that its agents have sent, and the changes of tables that they
have made. It is committed with the ack of the event, or dropped when the event fails. If it is dropped, so
is every event that has changed the same table keys after it, because it depends on their values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from weakref import WeakSet

from faust.streams import current_event
from faust.types import TP, Message

__all__ = ["Output", "TableKey", "Transaction", "Transactions"]

#: A changelog's partition, and a key in it as bytes.
TableKey = tuple[TP, bytes]

_batch: Final[ContextVar[Transaction | None]] = ContextVar("batch", default=None)


class Output(NamedTuple):
    """A message that is added with the commit of its event.

    Attributes:
        number: Counts the outputs of all events, in the order they were made.
        partition: ``None`` for the one that the key decides.
        fields: Names and values of the entry.
        table_key: The key that it changes, if the topic is the changelog of a table.
    """

    number: int
    topic: str
    key: bytes | None
    partition: int | None
    fields: list[bytes]
    table_key: TableKey | None


@dataclass(eq=False)
class Transaction:
    """The outputs of one event, or of the events of one ``take()`` batch.

    Attributes:
        is_sealed: Whether it is on its way to Redis; it takes no more outputs.
    """

    messages: list[Message]
    outputs: list[Output] = field(default_factory=list)
    is_sealed: bool = False


class Transactions:
    """The transactions of one worker.

    Attributes:
        open: Those that are not committed, by each of their messages.
        dirty: Keys of tables whose values here are those of dropped transactions, each with the number of the
            first output that was dropped.
        is_changelog: Returns whether a topic is the changelog of a table.
        is_in_flight: Returns whether a message is the latest delivery of an entry that this worker owns.
        on_dirty: Called when there are dirty keys.
    """

    def __init__(self, is_changelog: Callable[[str], bool]) -> None:
        self.is_changelog = is_changelog
        self.is_in_flight: Callable[[Message], bool] = lambda _message: False
        self.on_dirty: Callable[[], None] = lambda: None
        self.open: dict[Message, Transaction] = {}
        self.dirty: dict[TableKey, int] = {}
        self._dropped: WeakSet[Message] = WeakSet()
        self._numbers = itertools.count(1)

    def add(
        self,
        source: Transaction | Message,
        topic: str,
        key: bytes | None,
        partition: int | None,
        fields: list[bytes],
    ) -> None:
        """Add an output to the transaction of a :meth:`source`; it is ignored if that was dropped."""
        table_key = None
        if partition is not None and key is not None and self.is_changelog(topic):
            table_key = TP(topic, partition), key
        output = Output(next(self._numbers), topic, key, partition, fields, table_key)
        if isinstance(source, Message):
            if source in self._dropped:
                self._soil([output])
                return
            source = self.open.setdefault(source, Transaction([source]))
        source.outputs.append(output)

    def source(self) -> Transaction | Message | None:
        """Return the batch or the message that an agent works on; its commit includes messages sent now.

        ``None`` if there is none; messages are then sent at once.
        """
        batch = _batch.get()
        if batch is not None and not batch.is_sealed:
            return batch
        event = current_event()
        if event is None:
            return None
        message = event.message
        if self._dropped and message in self._dropped:
            return message
        known = self.open.get(message)
        if known is not None:
            return None if known.is_sealed else known
        return message if not message.acked and self.is_in_flight(message) else None

    @contextmanager
    def batch(self, messages: Iterable[Message]) -> Iterator[None]:
        """Put these messages into one transaction; sends within the block belong to it."""
        transaction = Transaction(list(messages))
        self.open.update(dict.fromkeys(transaction.messages, transaction))
        _batch.set(transaction)
        try:
            yield
        finally:
            _batch.set(None)  # no reset: a generator may be closed from another task, in another context

    def close(self, transaction: Transaction) -> None:
        """Forget a transaction that is committed."""
        for message in transaction.messages:
            self.open.pop(message, None)

    def drop(self, messages: Iterable[Message]) -> list[Message]:
        """Drop the transactions of messages, and those that depend on them.

        Returns:
            The messages of the latter: their entries have to be delivered again.
        """
        dropped = list(messages)
        self._dropped.update(dropped)
        found = {id(each): each for message in dropped if (each := self.open.get(message)) is not None}
        going = [*found.values(), *self._dependents(list(found.values()))]
        for transaction in going:
            self.close(transaction)
            self._dropped.update(transaction.messages)
            self._soil(transaction.outputs)
            transaction.outputs.clear()
        given = set(dropped)
        return [message for each in going for message in each.messages if message not in given]

    def clean(self, key: TableKey) -> tuple[list[Message], Output | None]:
        """Mark a dirty key as restored.

        Returns:
            The messages of transactions that had changed it since, which are dropped, too; and the output
            that holds its value, ``None`` if that is the one in the changelog.
        """
        first = {key: self.dirty[key]}
        late = {id(each): each for each in self.open.values() if _has_changed_after(each, first)}
        messages = [message for each in late.values() for message in each.messages]
        self.drop(messages)
        del self.dirty[key]
        earlier = [
            output for each in self.open.values() for output in each.outputs if output.table_key == key
        ]
        return messages, max(earlier, key=lambda output: output.number, default=None)

    def _dependents(self, dropped: list[Transaction]) -> list[Transaction]:
        """Return the transactions that have changed a key after one of these, and so on."""
        first: dict[TableKey, int] = {}
        pending, found = list(dropped), {id(each) for each in dropped}
        dependents: list[Transaction] = []
        while pending:
            for each in pending:
                _note_first(first, each.outputs)
            pending = [each for each in self._distinct() if id(each) not in found]
            pending = [each for each in pending if _has_changed_after(each, first)]
            found.update(map(id, pending))
            dependents += pending
        return dependents

    def _distinct(self) -> list[Transaction]:
        return list({id(each): each for each in self.open.values()}.values())

    def committable(self, finished: list[Transaction]) -> list[Transaction]:
        """Return those of finished transactions that depend on no other one."""
        ready = {id(each): each for each in finished}
        blocked = dict(self.dirty)
        waiting = [each for each in self.open.values() if id(each) not in ready]
        while True:
            for each in waiting:
                _note_first(blocked, each.outputs)
            waiting = [each for each in ready.values() if blocked and _has_changed_after(each, blocked)]
            if not waiting:
                return list(ready.values())
            for each in waiting:
                del ready[id(each)]

    def _soil(self, outputs: Iterable[Output]) -> None:
        known = len(self.dirty)
        _note_first(self.dirty, outputs)
        if len(self.dirty) > known:
            self.on_dirty()


def _note_first(first: dict[TableKey, int], outputs: Iterable[Output]) -> None:
    for output in outputs:
        if output.table_key is not None:
            first[output.table_key] = min(output.number, first.get(output.table_key, output.number))


def _has_changed_after(transaction: Transaction, first: dict[TableKey, int]) -> bool:
    return any(
        output.table_key is not None and output.number > first.get(output.table_key, output.number)
        for output in transaction.outputs
    )
