"""Read many running answers at common moments, so that each read brings several of their pieces.

A piece of an answer costs a worker, Redis and the web process about as much as several that come together.
While few answers run, each piece is read as it comes. While many run, all of them are read at the same
moments, whose distance rises with their number, so that the cost of streaming does not. The first words of an
answer are never delayed, nor is an answer in few pieces or in pieces farther apart than these moments.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

#: Seconds between two reads for each running answer. Smaller: many answers cost more. Larger: their pieces
#: come later.
SECONDS_PER_ANSWER: Final = 0.0005
#: The shortest distance of the moments, in seconds; below it a read would rarely bring a second piece.
SHORTEST_SECONDS: Final = 0.01
#: The longest one, which a person who reads along does not notice.
LONGEST_SECONDS: Final = 0.1
#: Reads of an answer, after the one that brought its first words, that don't wait for these moments. With
#: fewer, an answer in a few pieces is delayed. With more, streaming costs more, because each of them brings
#: one piece at the cost of several.
FIRST_READS: Final = 2


class ReadingPace:
    """The common pace of all answers of a worker."""

    def __init__(self) -> None:
        self._answers = 0
        self._resting: list[PacedAnswer] = []

    def begin(self, loop: asyncio.AbstractEventLoop) -> PacedAnswer:
        """Count an answer whose first piece has come; call its ``end`` after its last one.

        Args:
            loop: the running loop, because looking it up costs a system call in Python 3.11.
        """
        self._answers += 1
        return PacedAnswer(self, loop)

    @property
    def seconds(self) -> float:
        """Seconds between two reads of an answer; 0 while each piece is read as it comes."""
        seconds = self._answers * SECONDS_PER_ANSWER
        return 0.0 if seconds < SHORTEST_SECONDS else min(seconds, LONGEST_SECONDS)

    def rest(self, answer: PacedAnswer, loop: asyncio.AbstractEventLoop) -> None:
        """Have ``answer.read_on`` called at the next common moment."""
        if not self._resting:
            loop.call_later(self.seconds, self._read_on, loop)
        self._resting.append(answer)

    def ended(self) -> None:
        """Count an answer no more."""
        self._answers -= 1

    def _read_on(self, loop: asyncio.AbstractEventLoop) -> None:
        resting, self._resting = self._resting, []
        now = loop.time()
        for answer in resting:
            answer.read_on(now)


class PacedAnswer:
    """One running answer."""

    __slots__ = ("_first_reads", "_loop", "_moment", "_pace", "_reading_since")

    def __init__(self, pace: ReadingPace, loop: asyncio.AbstractEventLoop) -> None:
        self._pace = pace
        self._loop = loop
        self._first_reads = FIRST_READS
        self._reading_since = -math.inf
        self._moment: asyncio.Future[None] | None = None

    def rest(self) -> asyncio.Future[None] | None:
        """Return a future to await before more of the answer is read; None to read at once.

        Call it once for each read. The future may be cancelled.
        """
        seconds = self._pace.seconds
        if not seconds:
            return None
        now = self._loop.time()
        since, self._reading_since = self._reading_since, now
        if self._first_reads:
            self._first_reads -= 1
            return None
        if now - since >= seconds:
            return None
        self._moment = self._loop.create_future()
        self._pace.rest(self, self._loop)
        return self._moment

    def read_on(self, now: float) -> None:
        """End the rest, at a time of the loop's clock."""
        moment, self._moment = self._moment, None
        self._reading_since = now
        if moment is not None and not moment.done():
            moment.set_result(None)

    def end(self) -> None:
        """Take the answer out of the pace."""
        self._pace.ended()
