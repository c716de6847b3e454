"""One person of a load test: messages, their answers, and the pauses between them.

A subclass speaks the protocol of a service. This class keeps the books, which are the same for all of them.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from parley.loadtest.faults import MessageMark
from parley.loadtest.ledger import Ledger, Sent
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from parley.loadtest.texts import marked, texts

#: Seconds to wait for the peer's close frame; a peer that no longer reads never sends it.
CLOSE_SECONDS = 2.0
#: Seconds before a socket that was refused or lost is opened again.
RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class UserContext:
    """What all sessions of a generator share.

    Attributes:
        measures: the measurements of the test, to which each session adds.
        clock: returns the seconds since the start of the test.
    """

    plan: LoadPlan
    http: aiohttp.ClientSession
    measures: Measures
    clock: Callable[[], float]


class VirtualUser(ABC):
    """One session: call ``open``, ``send`` for each message, then ``read_history``, ``settle``, ``close``.

    Attributes:
        ledger: the outcome of each message.
        all_ended: called each time when no message waits for its end; None for no call. It may send.
    """

    def __init__(self, number: int, context: UserContext) -> None:
        """Prepare the session; ``open`` connects it.

        Args:
            number: the number of the session, unique in the test.
        """
        self._plan = plan = context.plan
        self._http = context.http
        self._measures = measures = context.measures
        self._clock = context.clock
        self.ledger = Ledger(f"s{number}", plan.echo, measures.faults, measures.token_faults, measures.errors)
        self.all_ended: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random(number)
        self._made = texts(plan, number, self._random)
        self._count = 0
        self._outgoing: deque[Sent] = deque()
        self._texts: dict[str, str] = {}  # the texts of open messages, by id
        self._ended = asyncio.Event()

    @abstractmethod
    async def open(self) -> None:
        """Connect the session.

        Raises:
            aiohttp.ClientError: the service refuses, does not speak the protocol, or is unreachable.
            LookupError, TypeError, ValueError: its reply has another shape.
        """

    def send(self, due: float) -> None:
        """Send the next message, which was due at ``due`` on the clock, or queue it; returns at once."""
        self._count += 1
        mark = MessageMark(self.ledger.session, self._count)
        text = marked(mark, next(self._made), whole=bool(self._plan.conversations))
        message = Sent(self._count, due, _message_id())
        self.ledger.sent(message)
        self._texts[message.id] = text
        if due < 0:
            self._measures.warmed_up += 1
        else:
            self._measures.sent += 1
            self._measures.second(due).sent += 1
        self._outgoing.append(message)
        self._send_queued()

    @abstractmethod
    def _send_queued(self) -> None:
        """Send the messages that are queued, or as many as may be sent now; returns at once."""

    def think(self) -> float:
        """Return the seconds until this person sends the next message.

        A negative exponential distribution, cut off at ten times its mean, as in TPC-C (5.2.5.4).
        """
        mean = self._plan.think
        return min(self._random.expovariate(1 / mean), 10 * mean) if mean else 0.0

    async def answered_within(self, seconds: float) -> bool:
        """Wait for all answers, for ``seconds`` at most; return whether all have come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.ledger.waiting:
                    self._ended.clear()
                    await self._ended.wait()
        return not self.ledger.waiting

    def settle(self) -> None:
        """Count the messages that have no answer as lost."""
        missing = self.ledger.give_up()
        if self._measures.cut_short:
            self._measures.unfinished += missing
        else:
            self.ledger.faults.lost += missing

    async def read_history(self) -> None:
        """Read the history of the session for ``settle``, if the service has one."""
        return

    async def close(self) -> None:
        """Disconnect the session."""
        self.all_ended = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something until the session closes."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _lose(self, message: Sent) -> None:
        """Count a message as lost, because its answer can no longer come."""
        self.ledger.lose(message)
        self._texts.pop(message.id, None)
        self._report_ends()

    def _count_token(self, message: Sent, text: str, now: float) -> None:
        """Count a piece of an answer."""
        if message.due < 0:  # the warm-up is not measured
            return
        measures = self._measures
        measures.tokens += 1
        measures.characters += len(text)
        if message.first_token is None:
            message.first_token = now
            measures.first_token.add(now - message.due)
        elif message.last_token is not None:
            measures.between_tokens.add(now - message.last_token)
        message.last_token = now

    def _end(self, turn: str | None, text: str | None, error: str | None, answer: str, now: float) -> None:
        measures = self._measures
        before = measures.failed if error is not None else 0
        message = self.ledger.ended(turn, text, error, answer)
        if error is not None:
            measures.second(now).failed += measures.failed - before
        if message is not None and error is None:
            self._count_answer(message, now)
        elif message is not None:
            self._texts.pop(message.id, None)
        self._report_ends()

    def _report_ends(self) -> None:
        """Wake whoever waits for the end of messages."""
        self._ended.set()
        if self.all_ended is not None and not self.ledger.waiting:
            self.all_ended()

    def _count_answer(self, message: Sent, now: float) -> None:
        """Count an answer that is complete."""
        self._texts.pop(message.id, None)
        if message.due < 0:  # the warm-up is not measured
            return
        measures, second = self._measures, self._measures.second(now)
        latency = now - message.due
        measures.latency.add(latency)
        measures.answered += 1
        measures.good += latency <= self._plan.slo
        second.answered += 1
        second.latency.add(latency)


class QueueingUser(VirtualUser):
    """A session with a task that sends its messages one after the other."""

    def __init__(self, number: int, context: UserContext) -> None:
        """Prepare the session; see ``VirtualUser``."""
        super().__init__(number, context)
        self._more = asyncio.Event()

    def _send_queued(self) -> None:
        self._more.set()

    async def _wait_for_queued(self) -> None:
        """Wait until a message is queued."""
        while not self._outgoing:
            self._more.clear()
            await self._more.wait()


def _message_id() -> str:
    """Return a UUID. Its random bits come from this process, because those of the system cost a call."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
