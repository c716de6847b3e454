"""Retry failed events after a pause, and move them to the dead letters after the last attempt.

Attempts are counted in Redis (``fail.lua``), so that they survive a crash; the wait for the next one is kept
here, and lost with the worker: the partition's next owner claims the entry at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from faust.streams import current_event
from faust.types import TP, AgentT, Message
from mode import get_logger

from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.faust_hooks import streams
from faust_redis.log.entries import DeliveryHeader, Record
from faust_redis.redis.commands import AT_ONCE
from faust_redis.redis.scripts import FAIL, NOT_OWNER

__all__ = ["AgentErrors", "Attempts", "attempts_before"]

logger = get_logger(__name__)
_T = TypeVar("_T")

#: Characters of an error that a dead letter keeps.
ERROR_LENGTH: Final = 2000


class Worker(Protocol):
    """The methods of the consumer that a failure needs."""

    async def confirm(self) -> None:
        """Wait until everything sent so far was confirmed; TimeoutError when the app stops without Redis."""

    async def persist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat a call until Redis answers."""

    def dead(self, tp: TP, offset: int) -> None:
        """Note that an entry has become a dead letter and is acked."""

    def again(self) -> None:
        """Note that an entry is due again soon."""


class Attempts:
    """The failed events of one consumer."""

    def __init__(
        self,
        worker: Worker,
        context: TransportContext,
        reader: PartitionReader,
        group: str,
        before_dead_letter: Callable[[Message, BaseException], Awaitable[None]],
    ) -> None:
        """Take what the consumer consists of.

        Args:
            before_dead_letter: Called before a message becomes a dead letter; never raises.
        """
        self._before_dead_letter = before_dead_letter
        self._worker = worker
        self._context = context
        self._options = context.options
        self._reader = reader
        self._group = group
        self._waiting: list[tuple[float, int, TP, Record]] = []
        self._failing: dict[asyncio.Task[None], TP] = {}
        self._counting = asyncio.Semaphore(AT_ONCE)

    def fail(self, message: Message, error: BaseException, allowed: int | None = None) -> None:
        """Count a failed attempt; after ``allowed`` of them (the option's) the message is a dead letter."""
        # Messages sent by on_dead_letter do not belong to the failed event.
        context = contextvars.copy_context()
        context.run(streams.current_event_variable().set, None)
        task = asyncio.create_task(
            self._fail(message, error, allowed or self._options.attempts), context=context
        )
        self._failing[task] = message.tp
        task.add_done_callback(self._failing.pop)

    def reject(self, message: Message, error: BaseException) -> None:
        """Make the message a dead letter at once."""
        self.fail(message, error, allowed=1)

    def due(self) -> dict[TP, list[Record]]:
        """Return the records to deliver again now."""
        due: dict[TP, list[Record]] = {}
        now = monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, tp, record = heapq.heappop(self._waiting)
            due.setdefault(tp, []).append(record)
        return due

    def pause(self, timeout: float) -> float:
        """Return ``timeout``, or less if something is due before (seconds)."""
        return max(0.0, min(timeout, self._waiting[0][0] - monotonic())) if self._waiting else timeout

    def is_counting(self, tp: TP) -> bool:
        """Return whether a failure of an event of this partition is not counted yet."""
        return tp in self._failing.values()

    def forget(self, tps: Collection[TP] | None = None) -> None:
        """Forget the waiting events of these partitions, or all: their next owners claim the entries."""
        self._waiting = [each for each in self._waiting if tps is not None and each[2] not in tps]
        heapq.heapify(self._waiting)

    async def settle(self) -> None:
        """Wait until every failure is counted."""
        await asyncio.gather(*self._failing, return_exceptions=True)

    async def _fail(self, message: Message, error: BaseException, allowed: int) -> None:
        tp, offset = message.tp, message.offset
        if not self._reader.is_in_flight(message):
            return  # the partition was reassigned in the meantime: its owner claims the entry
        text = f"{type(error).__name__}: {error}"[:ERROR_LENGTH]
        keys = [
            *self._reader.lease_keys(tp),
            self._context.keys.dead(tp),
            self._context.keys.suspects(tp, self._group),
        ]
        counting = partial(
            self._context.scripts.call,
            FAIL,
            keys,
            group=self._group,
            lease=self._reader.lease_of(tp),
            entry_id=f"0-{offset}",
            allowed=allowed,
            error_text=text,
            kept_count=self._options.dead_letter_limit,
            kept_ms=int(self._options.dead_letter_age * 1000),
        )
        owned = self._reader.queues.get(tp)
        if attempts_before(message) + 1 >= allowed:
            await self._before_dead_letter(message, error)
        try:
            # Messages that the agent sent before it failed, such as an error to a client, come first.
            await self._worker.confirm()
        except TimeoutError:
            return  # stopping without Redis: the entry stays pending for its next owner
        async with self._counting:
            attempts, dead = await self._worker.persist(counting)
        queue = self._reader.queues.get(tp)
        if attempts == NOT_OWNER or queue is None or queue is not owned:
            return  # as above
        place = (*tp, offset)
        if dead or attempts == 0:
            queue.finish(offset)
            if dead:
                self._worker.dead(tp, offset)
                logger.error("%s-%s offset %d is a dead letter after %d attempts: %s", *place, attempts, text)
            return
        backoff = self._options.backoff
        # Half of the pause is random, so that failures do not repeat at the same moment.
        delay = backoff[min(attempts, len(backoff)) - 1] * (0.5 + random.random() / 2)
        logger.warning("%s-%s offset %d failed (%s), attempt %d in %.1f s", *place, text, attempts + 1, delay)
        heapq.heappush(self._waiting, (monotonic() + delay, offset, tp, _record(message, attempts)))
        self._worker.again()


class AgentErrors:
    """Receives every exception that leaves an agent, before the agent's own ``on_error``.

    An exception while the worker stops only ends the agent. Faust would start the agent again
    and then wait for it forever: the worker would keep its partitions but process nothing.
    """

    def __init__(
        self,
        fail: Callable[[Message, BaseException, AgentT[Any]], None],
        is_stopping: Callable[[], bool],
        undone: Callable[[], Awaitable[None]],
    ) -> None:
        """Take what the consumer consists of.

        Args:
            undone: Waits until the changes of failed events are undone in tables, before an agent continues.
        """
        self._fail = fail
        self._undone = undone
        self._is_stopping = is_stopping
        self._watched: set[int] = set()

    def watch(self, agents: Iterable[AgentT[Any]]) -> None:
        """Watch these agents; repeated calls for an agent have no effect."""
        for agent in agents:
            if id(agent) not in self._watched:
                self._watched.add(id(agent))
                # Faust stores only one such function, and has no method to set it.
                streams.set_on_error(agent, self._then(streams.on_error_of(agent)))

    def _then(
        self, on_error: Callable[[AgentT[Any], BaseException], Awaitable[None]] | None
    ) -> Callable[[AgentT[Any], BaseException], Awaitable[None]]:
        async def failed(agent: AgentT[Any], error: BaseException) -> None:
            event = current_event()
            if event is not None:
                self._fail(event.message, error, agent)
            if on_error is not None:
                await on_error(agent, error)
            await self._undone()
            if self._is_stopping():
                logger.error("%s raised while the worker stops", agent, exc_info=error)
                raise asyncio.CancelledError

        return failed


def attempts_before(message: Message) -> int:
    """Return how many attempts had failed when a message was delivered."""
    given: Any = message.headers or ()
    return next((int(value) for name, value in given if type(name) is DeliveryHeader), 0)


def _record(message: Message, attempts: int) -> Record:
    given: Any = message.headers or ()
    headers = [header for header in given if type(header[0]) is not DeliveryHeader]
    millis = int(message.timestamp * 1000)
    return Record(message.offset, message.key, message.value, headers, millis, attempts)
